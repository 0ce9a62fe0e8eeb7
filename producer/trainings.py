"""Have models trained, and look at how that went."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from db import job_records
from db.dataset_files import sha256_of_dataset
from db.dataset_tables import DatasetRow
from db.dialect import reading
from db.errors import UsageError
from db.model_tables import ModelRow
from db.specs import Priority, RegisterSpec, Spec, TrainSpec
from db.states import State
from db.training_settings import read_settings
from db.training_tables import TrainingEpochRow, TrainingRow
from producer.bases import Base, extension_of, find_base
from producer.dataset_checks import called
from producer.enqueue import Enqueued, database, enqueue, enqueue_family, validated
from producer.inputs import named_dataset

_UNKNOWN_YET = "0" * 64


@dataclass(frozen=True, slots=True)
class Training:
    """A training, as far as it has come.

    Attributes:
        job_id: the job.
        state: of it.
        model: the model that it made, `fruit@3`; None until it has.
        base: what it began with.
        dataset: what it was trained on.
        facts: a row of `trainings`, without the ids; None until it is done.
        epochs: a row of `training_epochs` for each epoch that has ended.
    """

    job_id: int
    state: State
    model: str | None
    base: str
    dataset: str
    facts: dict[str, Any] | None
    epochs: tuple[dict[str, Any], ...]


def train(
    data: str | Path,
    base: str | Path,
    name: str | None = None,
    *,
    epochs: int | None = None,
    imgsz: int | None = None,
    batch: int | str | None = None,
    patience: int | None = None,
    seed: int | None = None,
    settings: Iterable[str] = (),
    extend: int | None = None,
    device: str | None = None,
    dataset: str | None = None,
    priority: Priority = Priority.NORMAL,
    force: bool = False,
    on_read: Callable[[int, int], None] = lambda done, total: None,
) -> Enqueued:
    """Enqueue the training of a model.

    Args:
        data: the data set's YAML file.
        base: a registered model (`fruit`, `fruit@3`), a checkpoint, which is registered first if it
            is not yet, or `yolov8s.yaml` and the like to train from scratch.
        name: of which the new model becomes the next version; that of the base, where it is a
            registered model, if None.
        epochs, imgsz, batch, patience, seed, device: as for Ultralytics' `train`, with its
            defaults; `batch` may be `auto`.
        settings: further ones of its arguments: `lr0=0.001`.
        extend: go on with the training that made `base`, for so many epochs more.
        dataset: what to call the data set.
        priority: which of the waiting jobs go first.
        force: train again even if the same was trained before.
        on_read: called with the number of images read so far, and of all.

    Raises:
        ModelError: no such model, or its file is gone.
        DatasetError: the file stands for no data set, or has no `train` or no `val`.
        UsageError: a value cannot be.
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    files = named_dataset(data)
    name = name or _name_of(str(base))
    given = {
        "epochs": epochs,
        "imgsz": imgsz,
        "batch": batch,
        "patience": patience,
        "seed": seed,
        "settings": read_settings(settings) or None,
    }
    given = {key: value for key, value in given.items() if value is not None}
    where = {"dataset": dataset or called(files.data), "data": str(files.data), "device": device}
    if extend is None:
        found = find_base(str(base))
        spec = _begun(found, name, given | where)
    else:
        found = Base()
        spec = _extended(str(base), extend, name, given, where)
    for split in ("train", "val"):
        files.images(split)
    digest = sha256_of_dataset(files, on_read)
    if spec.extends and digest != spec.dataset_sha256:
        raise UsageError(
            f"{base} was trained on {spec.dataset_sha256[:12]}, and {files.data} has other content "
            f"({digest[:12]}): train with --base {base}, without --extend"
        )
    spec = spec.model_copy(update={"dataset_sha256": digest})
    return _enqueue(spec, found.to_register, priority, force)


def _name_of(base: str) -> str:
    if base.endswith((".pt", ".yaml", ".yml")) or "/" in base:
        raise UsageError(f"say what the new model is to be called, as {base} is no model: --name")
    return base.partition("@")[0]


def _begun(found: Base, name: str, values: dict[str, Any]) -> TrainSpec:
    return validated(
        TrainSpec,
        name=name,
        base=found.called,
        base_sha256=found.sha256,
        architecture=found.architecture,
        dataset_sha256=_UNKNOWN_YET,
        **values,
    )


def _extended(
    base: str, extend: int, name: str, given: dict[str, Any], where: dict[str, Any]
) -> TrainSpec:
    if given:
        raise UsageError(
            f"--extend goes on with what {base} was trained with: leave out {', '.join(given)}"
        )
    if extend < 1:
        raise UsageError(f"--extend must be a number of epochs from 1, not {extend}")
    registered, before, extends = extension_of(base)
    values = before.model_dump(exclude={"kind"}) | {
        "name": name,
        "base": registered.reference,
        "base_sha256": registered.sha256,
        "architecture": None,
        "epochs": extends.epochs + extend,
        "extends": extends,
    }
    return validated(TrainSpec, **(values | where))


def _enqueue(
    spec: TrainSpec, to_register: RegisterSpec | None, priority: Priority, force: bool
) -> Enqueued:
    if to_register is None:
        [enqueued] = enqueue([spec], priority=priority, force=force)
        return enqueued
    children: list[Spec] = [to_register]
    return enqueue_family(spec, children, priority=priority, force=force)


def training(job_id: int) -> Training:
    """A training, as far as it has come.

    Raises:
        UsageError: the job is none.
    """
    with reading(database()) as tx:
        job = job_records.get(tx, job_id)
        spec = job.parsed_spec if job.kind == "train" else None
        if not isinstance(spec, TrainSpec):
            raise UsageError(f"job {job_id} trains no model: `nightshelf jobs show {job_id}`")
        table = TrainingEpochRow.__table__
        query = select(table).where(table.c.job_id == job_id).order_by(table.c.epoch)
        epochs = tuple(dict(row) for row in tx.execute(query).mappings())
        done = _facts(tx, job_id)
    for epoch in epochs:
        del epoch["job_id"]
    return Training(
        job_id=job_id,
        state=job.state,
        model=done.pop("model") if done else None,
        base=done.pop("base") if done else spec.base,
        dataset=done.pop("dataset") if done else spec.dataset,
        facts=done,
        epochs=epochs,
    )


def _facts(tx: Connection, job_id: int) -> dict[str, Any] | None:
    trained, models = TrainingRow.__table__, ModelRow.__table__.c
    query = (
        select(
            trained,
            (models.name + "@" + models.version.cast(trained.c.base.type)).label("model"),
            DatasetRow.__table__.c.name.label("dataset"),
        )
        .join(ModelRow, models.id == trained.c.model_id)
        .join(DatasetRow, DatasetRow.__table__.c.id == trained.c.dataset_id)
        .where(trained.c.job_id == job_id)
    )
    row = tx.execute(query).mappings().first()
    if row is None:
        return None
    left_out = {"job_id", "model_id", "base_model_id", "dataset_id"}
    return {key: value for key, value in row.items() if key not in left_out}

"""Where a model comes from: what it was trained from, on what, with which arguments and code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from db.dataset_tables import DatasetRow
from db.dialect import reading
from db.training_tables import TrainingEpochRow, TrainingRow
from producer.enqueue import database
from producer.registry import Model, chosen, read_models


@dataclass(frozen=True, slots=True)
class Making:
    """How a training made a model.

    Attributes:
        job_id: of the training.
        base: what it began from: `fruit@3`, or an architecture such as `yolov8s.yaml`.
        dataset, dataset_sha256: what it was trained on.
        args: what was asked, under Ultralytics' names.
        versions: of the code.
        epochs_run: how many there were.
        best_epoch, last_epoch: the one whose weights are the model, and the last one; an extension
            counts on.
        extends_job_id: the training that this one went on with.
    """

    job_id: int
    base: str
    dataset: str
    dataset_sha256: str
    args: dict[str, Any]
    versions: dict[str, Any]
    epochs_run: int
    best_epoch: int
    last_epoch: int
    extends_job_id: int | None


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A model in a lineage; one that was added from a file was made elsewhere."""

    model: Model
    made: Making | None


def lineage(reference: str) -> tuple[Ancestor, ...]:
    """A model, the one it was trained from, and so on to the one that no training here made.

    Raises:
        ModelError: there is no such model.
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    with reading(database()) as tx:
        known = read_models(tx)
        by_id = {one.id: one for one in known}
        found: list[Ancestor] = []
        model: Model | None = chosen(known, reference)
        while model is not None:
            making, base_id = _making(tx, model)
            found.append(Ancestor(model, making))
            model = None if base_id is None else by_id[base_id]
    return tuple(found)


def _making(tx: Connection, model: Model) -> tuple[Making | None, int | None]:
    trained, datasets = TrainingRow.__table__, DatasetRow.__table__
    epochs = select(func.max(TrainingEpochRow.epoch)).where(
        TrainingEpochRow.job_id == trained.c.job_id
    )
    query = (
        select(
            trained,
            datasets.c.name.label("dataset"),
            datasets.c.sha256.label("dataset_sha256"),
            epochs.scalar_subquery().label("last_epoch"),
        )
        .join(datasets, datasets.c.id == trained.c.dataset_id)
        .where(trained.c.model_id == model.id)
        .order_by(trained.c.job_id)
    )
    row = tx.execute(query).mappings().first()
    if row is None:
        return None, None
    fields = {name: row[name] for name in Making.__dataclass_fields__}
    return Making(**fields), row["base_model_id"]

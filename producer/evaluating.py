"""Have models measured on data sets, and look at what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from db.dataset_files import find_dataset, sha256_of_dataset
from db.dataset_tables import DatasetRow
from db.dialect import reading
from db.errors import DatasetError, UsageError
from db.evaluation_tables import EvaluationClassRow, EvaluationRow
from db.model_tables import ModelRow
from db.specs import EvaluateSpec, Priority
from db.tables import JobRow
from producer.dataset_checks import called
from producer.enqueue import Enqueued, database, enqueue, validated
from producer.inputs import regular_file
from producer.registry import usable_model


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an `evaluate` job measured.

    Attributes:
        job_id: the job.
        model, model_sha256: what was measured.
        dataset, dataset_sha256: on what.
        ended_at: when.
        metrics: a row of `evaluations`, without the ids.
        classes: a row of `evaluation_classes` for each class, by name.
    """

    job_id: int
    model: str
    model_sha256: str
    dataset: str
    dataset_sha256: str
    ended_at: datetime
    metrics: dict[str, Any]
    classes: tuple[dict[str, Any], ...]


def evaluate(
    model: str,
    data: str | Path,
    *,
    split: str = "val",
    imgsz: int = 640,
    batch: int = 16,
    conf: float = 0.001,
    iou: float = 0.7,
    max_det: int = 300,
    device: str | None = None,
    name: str | None = None,
    priority: Priority = Priority.NORMAL,
    force: bool = False,
    on_read: Callable[[int, int], None] = lambda done, total: None,
) -> Enqueued:
    """Enqueue the measurement of a model on a split of a data set.

    Args:
        model: name of a registered model.
        data: the data set's YAML file.
        split: `train`, `val` or `test`.
        imgsz, batch, conf, iou, max_det, device: as for Ultralytics' `val`.
        name: what to call the data set.
        priority: which of the waiting jobs go first.
        force: measure again even if the same was measured before.
        on_read: called with the number of images read so far, and of all.

    Raises:
        ModelError: no such model, or its file is gone.
        DatasetError: the file stands for no data set, or has no such split.
        UsageError: a value cannot be.
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    registered = usable_model(model)
    path = regular_file(Path(data).expanduser())
    files = find_dataset(path)
    asked = validated(
        EvaluateSpec,
        model=registered.reference,
        model_sha256=registered.sha256,
        name=name or called(path),
        data=str(path),
        dataset_sha256="0" * 64,
        split=split,
        imgsz=imgsz,
        batch=batch,
        conf=conf,
        iou=iou,
        max_det=max_det,
        device=device,
    )
    if split not in files.splits:
        raise DatasetError(f"{path} has no {split}: it has {', '.join(files.splits)}")
    total = sum(map(len, files.splits.values()))
    digest = sha256_of_dataset(files, lambda done: on_read(done, total))
    spec = asked.model_copy(update={"dataset_sha256": digest})
    [enqueued] = enqueue([spec], priority=priority, force=force)
    return enqueued


def evaluation(job_id: int) -> Evaluation:
    """What a job measured.

    Raises:
        UsageError: it measured nothing.
    """
    jobs, models, datasets = JobRow.__table__.c, ModelRow.__table__.c, DatasetRow.__table__.c
    measured = EvaluationRow.__table__
    query = (
        select(
            measured,
            models.name.label("model"),
            models.sha256.label("model_sha256"),
            datasets.name.label("dataset"),
            datasets.sha256.label("dataset_sha256"),
            jobs.ended_at,
        )
        .join(ModelRow, models.id == measured.c.model_id)
        .join(DatasetRow, datasets.id == measured.c.dataset_id)
        .join(JobRow, jobs.id == measured.c.job_id)
        .where(measured.c.job_id == job_id)
    )
    by_class = EvaluationClassRow.__table__
    with reading(database()) as tx:
        row = tx.execute(query).mappings().first()
        found = tx.execute(
            select(by_class).where(by_class.c.job_id == job_id).order_by(by_class.c["class"])
        ).mappings()
        classes = [{key: one[key] for key in one if key != "job_id"} for one in found]
    if row is None:
        raise UsageError(f"job {job_id} measured no model: `nightshelf jobs show {job_id}`")
    columns = set(measured.c.keys()) - {"job_id", "model_id", "dataset_id"}
    return Evaluation(
        job_id=row["job_id"],
        model=row["model"],
        model_sha256=row["model_sha256"],
        dataset=row["dataset"],
        dataset_sha256=row["dataset_sha256"],
        ended_at=row["ended_at"],
        metrics={key: row[key] for key in row if key in columns},
        classes=tuple(classes),
    )

"""Have models measured on data sets, and look at what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, case, func, or_, select

from db.dataset_files import sha256_of_dataset
from db.dataset_tables import DatasetRow
from db.dialect import reading
from db.error_kinds import BoxSize, ErrorKind
from db.errors import UsageError
from db.evaluation_tables import (
    EvaluationClassRow,
    EvaluationConfusionRow,
    EvaluationErrorRow,
    EvaluationMissRow,
    EvaluationRow,
    EvaluationSweepRow,
)
from db.model_tables import ModelRow
from db.specs import EvaluateSpec, Priority
from db.tables import JobRow
from producer.dataset_checks import called
from producer.enqueue import Enqueued, database, enqueue, validated
from producer.inputs import named_dataset
from producer.registry import Model, usable_model


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
        errors: a row of `evaluation_errors` for each kind; as the rest, none if it was measured
            before that was kept.
        confusion: a row of `evaluation_confusion` for each pair that is there.
        misses: a row of `evaluation_misses` for each class and size.
    """

    job_id: int
    model: str
    model_sha256: str
    dataset: str
    dataset_sha256: str
    ended_at: datetime
    metrics: dict[str, Any]
    classes: tuple[dict[str, Any], ...]
    errors: tuple[dict[str, Any], ...]
    confusion: tuple[dict[str, Any], ...]
    misses: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A confidence from which on boxes count, and what was measured there.

    Attributes:
        job_id: the evaluation.
        confidence: 0 to 1.
        precision, recall, f1: means over the classes, at IoU 0.5; where it was chosen by a
            precision, that is the mean over the classes of which a box is left.
    """

    job_id: int
    confidence: float
    precision: float
    recall: float
    f1: float


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
        model: a registered model: its name, or `name@version`.
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
    files = named_dataset(data)
    asked = validated(
        EvaluateSpec,
        model=registered.reference,
        model_sha256=registered.sha256,
        name=name or called(files.data),
        data=str(files.data),
        dataset_sha256="0" * 64,
        split=split,
        imgsz=imgsz,
        batch=batch,
        conf=conf,
        iou=iou,
        max_det=max_det,
        device=device,
    )
    files.images(split)
    digest = sha256_of_dataset(files, on_read)
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
            models.name.label("name"),
            models.version,
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
    with reading(database()) as tx:
        row = tx.execute(query).mappings().first()
        parts = {
            "classes": rows_of_job(tx, EvaluationClassRow, job_id, "class"),
            "errors": in_order(rows_of_job(tx, EvaluationErrorRow, job_id), "kind", ErrorKind),
            "confusion": rows_of_job(tx, EvaluationConfusionRow, job_id, "number"),
            "misses": in_order(
                rows_of_job(tx, EvaluationMissRow, job_id, "class"), "size", BoxSize
            ),
        }
    if row is None:
        raise UsageError(f"job {job_id} measured no model: `nightshelf jobs show {job_id}`")
    columns = set(measured.c.keys()) - {"job_id", "model_id", "dataset_id"}
    return Evaluation(
        job_id=row["job_id"],
        model=f"{row['name']}@{row['version']}",
        model_sha256=row["model_sha256"],
        dataset=row["dataset"],
        dataset_sha256=row["dataset_sha256"],
        ended_at=row["ended_at"],
        metrics={key: row[key] for key in row if key in columns},
        **parts,
    )


def rows_of_job(tx: Connection, table: Any, job_id: int, *order: str) -> tuple[dict[str, Any], ...]:
    """The rows that a job left in a table, without its id, in the order of some columns."""
    columns = table.__table__.c
    query = select(table.__table__).where(columns.job_id == job_id)
    found = tx.execute(query.order_by(*(columns[name] for name in order))).mappings()
    return tuple({key: one[key] for key in one if key != "job_id"} for one in found)


def in_order(
    rows: Sequence[dict[str, Any]], column: str, values: type[StrEnum]
) -> tuple[dict[str, Any], ...]:
    """The rows by the place of a column's value among those that it may have."""
    order = [value.value for value in values]
    return tuple(sorted(rows, key=lambda row: order.index(row[column])))


def operating_point_of(
    model: Model, *, imgsz: int | None = None, precision: float | None = None
) -> OperatingPoint:
    """A confidence from which on to count a model's boxes, by its newest evaluation.

    One on images that it was not trained on is preferred, of these one at the same size: both
    change confidences.

    Args:
        model: a registered model, exactly this version.
        imgsz: the size at which it will be used.
        precision: as for `operating_point`.

    Raises:
        UsageError: it was never evaluated, or by an earlier version, or the precision is never
            reached.
    """
    with reading(database()) as tx:
        job_id = tx.scalar(_newest(model.sha256, imgsz))
    if job_id is None:
        raise UsageError(
            f"{model.reference} was not evaluated yet: no confidence is known to be good. First "
            f"`nightshelf evaluate {model.reference} DATA.yaml --wait`"
        )
    return operating_point(job_id, precision=precision)


def _newest(model_sha256: str, imgsz: int | None) -> Select[int]:
    models, jobs = ModelRow.__table__.c, JobRow.__table__.c
    return (
        select(EvaluationRow.job_id)
        .join(ModelRow, models.id == EvaluationRow.model_id)
        .join(JobRow, jobs.id == EvaluationRow.job_id)
        .where(models.sha256 == model_sha256)
        .order_by(
            case((EvaluationRow.split == "train", 1), else_=0),
            case((EvaluationRow.imgsz == imgsz, 0), else_=1),
            jobs.ended_at.desc(),
            jobs.id.desc(),
        )
        .limit(1)
    )


def check_precision(precision: float) -> None:
    """Make sure that a model can be that precise.

    Raises:
        UsageError: it cannot.
    """
    if not 0 < precision <= 1:
        raise UsageError(f"a precision is above 0 and at most 1, not {precision}")


def operating_point(job_id: int, *, precision: float | None = None) -> OperatingPoint:
    """A confidence from which on to count boxes, as an evaluation has it.

    Args:
        job_id: the evaluation.
        precision: take the lowest confidence, in steps of 0.01, at which the precision is at least
            this, as the mean over the classes of which a box is left (Ultralytics' own mean takes
            the others for perfect); the confidence of the highest mean F1 if None.

    Raises:
        UsageError: the precision is never reached, or cannot be; the model finds nothing; the job
            measured nothing, or by an earlier version.
    """
    if precision is not None:
        check_precision(precision)
    measured, sweep = EvaluationRow.__table__.c, EvaluationSweepRow.__table__.c
    with reading(database()) as tx:
        row = tx.execute(
            select(
                measured.best_confidence, measured.precision, measured.recall, measured.f1
            ).where(measured.job_id == job_id)
        ).first()
        mean = tx.execute(
            select(sweep.confidence, sweep.recall, sweep.f1)
            .where(sweep.job_id == job_id, sweep.position == 0)
            .order_by(sweep.confidence)
        ).all()
        # Above its most confident box, the curves of a class are precision 1 and recall 0.
        a_box_is_left = or_(sweep.recall > 0, sweep.precision < 1)
        told = tx.execute(
            select(sweep.confidence, func.avg(sweep.precision))
            .where(sweep.job_id == job_id, sweep.position > 0, a_box_is_left)
            .group_by(sweep.confidence)
        ).all()
    if row is None or not mean:
        raise UsageError(
            f"job {job_id} has no curve of precision: evaluate the model again, with --force"
        )
    precisions = {confidence: float(average) for confidence, average in told}
    points = [
        OperatingPoint(job_id, confidence, precisions[confidence], recall, f1)
        for confidence, recall, f1 in mean
        if recall > 0
    ]
    if row.best_confidence is None or not points:
        raise UsageError(f"in job {job_id} the model finds nothing: no confidence is a good one")
    if precision is None:
        return OperatingPoint(job_id, *row)
    for point in points:
        if point.precision >= precision:
            return point
    highest = max(points, key=lambda point: point.precision)
    raise UsageError(
        f"precision {precision} is never reached in job {job_id}: the highest is "
        f"{highest.precision:.3f}, at {highest.confidence}"
    )

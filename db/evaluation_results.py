"""What an `evaluate` job writes: a model's metrics on a data set, in all and by class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, insert, select

from db.dataset_results import known_dataset
from db.error_kinds import BoxSize, ErrorKind
from db.errors import ModelError
from db.evaluation_tables import (
    EvaluationClassRow,
    EvaluationConfusionRow,
    EvaluationErrorRow,
    EvaluationMissRow,
    EvaluationRow,
    EvaluationSweepRow,
)
from db.file_facts import FileFacts
from db.model_tables import ModelRow
from db.specs import EvaluateSpec


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ClassMetricFacts(_Facts):
    """One class; the columns of `evaluation_classes`."""

    class_name: str
    images: int
    instances: int
    precision: float | None
    recall: float | None
    f1: float | None
    map50: float | None
    map50_95: float | None
    best_confidence: float | None


class ErrorFacts(_Facts):
    """A kind of error; the columns of `evaluation_errors`."""

    kind: ErrorKind
    count: int
    map50_cost: float


class ConfusionFacts(_Facts):
    """What is taken for what; the columns of `evaluation_confusion`."""

    true_class: str | None
    predicted_class: str | None
    count: int


class MissFacts(_Facts):
    """The objects of a class and size; the columns of `evaluation_misses`."""

    class_name: str
    size: BoxSize
    instances: int
    found: int
    missed: int


class SweepFacts(_Facts):
    """The curves of a class, or of their mean (None); values at the confidences 0, 0.01, ..., 1."""

    class_name: str | None
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]


class EvaluateResult(_Facts):
    """What an `evaluate` job found; the columns of `evaluations`."""

    kind: Literal["evaluate"] = "evaluate"
    device: str
    images: int
    instances: int
    precision: float
    recall: float
    f1: float
    map50: float
    map50_95: float
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    best_confidence: float | None
    true_positives: int
    false_positives: int
    false_negatives: int
    false_positives_cost: float
    false_negatives_cost: float
    classes: tuple[ClassMetricFacts, ...]
    errors: tuple[ErrorFacts, ...]
    confusion: tuple[ConfusionFacts, ...]
    misses: tuple[MissFacts, ...]
    sweep: tuple[SweepFacts, ...]
    files: tuple[FileFacts, ...]


_PARTS = {"classes", "errors", "confusion", "misses", "sweep", "files"}


def write_evaluation(
    tx: Connection, job_id: int, spec: EvaluateSpec, result: EvaluateResult
) -> None:
    """Write how good a model is."""
    model_id = tx.scalar(select(ModelRow.id).where(ModelRow.sha256 == spec.model_sha256))
    if model_id is None:
        raise ModelError(f"model {spec.model} is not registered any more")
    tx.execute(
        insert(EvaluationRow).values(
            job_id=job_id,
            model_id=model_id,
            dataset_id=known_dataset(tx, spec.dataset_sha256, spec.name, spec.data),
            **spec.model_dump(include={"split", "imgsz", "batch", "conf", "iou", "max_det"}),
            **result.model_dump(exclude={"kind", *_PARTS}),
        )
    )
    rows: dict[Any, list[dict[str, Any]]] = {
        EvaluationClassRow: [class_row(one) for one in result.classes],
        EvaluationErrorRow: [one.model_dump() for one in result.errors],
        EvaluationConfusionRow: [
            {"number": number, **one.model_dump()}
            for number, one in enumerate(result.confusion, start=1)
        ],
        EvaluationMissRow: [class_row(one) for one in result.misses],
        EvaluationSweepRow: list(_sweep_rows(result.sweep)),
    }
    for table, found in rows.items():
        if found:
            tx.execute(insert(table.__table__), [{"job_id": job_id, **one} for one in found])


def class_row(facts: ClassMetricFacts | MissFacts) -> dict[str, Any]:
    """The columns of a row that is about a class."""
    values = facts.model_dump()
    return {"class": values.pop("class_name"), **values}


def _sweep_rows(sweep: Sequence[SweepFacts]) -> Iterator[dict[str, Any]]:
    for position, curves in enumerate(sweep):
        points = zip(curves.precision, curves.recall, curves.f1, strict=True)
        for step, (precision, recall, f1) in enumerate(points):
            yield {
                "position": position,
                "class": curves.class_name,
                "confidence": step / (len(curves.f1) - 1),
                "precision": precision,
                "recall": recall,
                "f1": f1,
            }

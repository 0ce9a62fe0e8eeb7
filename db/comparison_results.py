"""What a `compare` job writes: several models' metrics on the same images, and how they differ."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, insert, select

from db.comparison_specs import CompareSpec
from db.comparison_tables import (
    ComparisonClassRow,
    ComparisonErrorRow,
    ComparisonModelRow,
    ComparisonRow,
)
from db.dataset_results import known_dataset
from db.errors import ModelError
from db.evaluation_results import ClassMetricFacts, ErrorFacts, class_row
from db.file_facts import FileFacts
from db.model_tables import ModelRow

MIN_IMAGES: Final = 10
"""With fewer images than these a difference gets no interval: draws of so few hardly differ."""


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ComparedModelFacts(_Facts):
    """One model; the columns of `comparison_models`. The base has no differences.

    A difference has no interval where there are fewer than `MIN_IMAGES` images.
    """

    left_out: tuple[str, ...]
    precision: float
    recall: float
    f1: float
    map50: float
    map50_95: float
    map50_difference: float | None
    map50_low: float | None
    map50_high: float | None
    map50_95_difference: float | None
    map50_95_low: float | None
    map50_95_high: float | None
    best_confidence: float
    counted_at: float
    true_positives: int
    false_positives: int
    false_negatives: int
    counted_precision: float
    counted_recall: float
    counted_f1: float
    size_bytes: int
    parameters: int
    gflops: float
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    classes: tuple[ClassMetricFacts, ...]
    errors: tuple[ErrorFacts, ...]


class CompareResult(_Facts):
    """What a `compare` job found; the columns of `comparisons`, and the models in their order."""

    kind: Literal["compare"] = "compare"
    device: str
    images: int
    instances: int
    classes: tuple[str, ...]
    models: tuple[ComparedModelFacts, ...]
    files: tuple[FileFacts, ...]


_ARGUMENTS = {"split", "imgsz", "batch", "conf", "iou", "max_det", "at", "match_iou"}


def write_comparison(tx: Connection, job_id: int, spec: CompareSpec, result: CompareResult) -> None:
    """Write how models compare."""
    tx.execute(
        insert(ComparisonRow).values(
            job_id=job_id,
            dataset_id=known_dataset(tx, spec.dataset_sha256, spec.name, spec.data),
            classes=list(result.classes),
            **spec.model_dump(include=_ARGUMENTS),
            **result.model_dump(include={"device", "images", "instances"}),
        )
    )
    for position, facts in enumerate(result.models):
        key = {"job_id": job_id, "position": position}
        values = facts.model_dump(exclude={"left_out", "classes", "errors"})
        tx.execute(
            insert(ComparisonModelRow).values(
                **key,
                model_id=_model_id(tx, spec, position),
                left_out=list(facts.left_out),
                **values,
            )
        )
        classes = [key | class_row(one) for one in facts.classes]
        tx.execute(insert(ComparisonClassRow.__table__), classes)  # type: ignore[arg-type]
        errors = [key | one.model_dump() for one in facts.errors]
        tx.execute(insert(ComparisonErrorRow.__table__), errors)  # type: ignore[arg-type]


def _model_id(tx: Connection, spec: CompareSpec, position: int) -> int:
    sha256 = spec.model_sha256s[position]
    model_id = tx.scalar(select(ModelRow.id).where(ModelRow.sha256 == sha256))
    if model_id is None:
        raise ModelError(f"model {spec.models[position]} is not registered any more")
    return model_id

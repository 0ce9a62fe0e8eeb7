"""What an `evaluate` job writes: a model's metrics on a data set, in all and by class."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, insert, select

from db.dataset_results import known_dataset
from db.errors import ModelError
from db.evaluation_tables import EvaluationClassRow, EvaluationRow
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
    classes: tuple[ClassMetricFacts, ...]
    files: tuple[FileFacts, ...]


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
            **result.model_dump(exclude={"kind", "classes", "files"}),
        )
    )
    if result.classes:
        rows = [_class_row(job_id, one) for one in result.classes]
        tx.execute(insert(EvaluationClassRow.__table__), rows)  # type: ignore[arg-type]


def _class_row(job_id: int, facts: ClassMetricFacts) -> dict[str, Any]:
    values = facts.model_dump()
    return {"job_id": job_id, "class": values.pop("class_name"), **values}

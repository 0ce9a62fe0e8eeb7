"""The tables of evaluations: how good a model is on a split of a data set."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from db.dataset_tables import DatasetRow
from db.model_tables import ModelRow
from db.tables import Base


class EvaluationRow(Base):
    """One model on one split, with the arguments by which it was measured."""

    __tablename__ = "evaluations"

    job_id: Mapped[int] = mapped_column(
        ForeignKey("jobs.id"), primary_key=True, autoincrement=False
    )
    model_id: Mapped[int] = mapped_column(ForeignKey(ModelRow.id), index=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey(DatasetRow.id), index=True)
    split: Mapped[str]
    imgsz: Mapped[int]
    batch: Mapped[int]
    conf: Mapped[float]
    iou: Mapped[float]
    max_det: Mapped[int]
    device: Mapped[str]
    images: Mapped[int]
    instances: Mapped[int]
    precision: Mapped[float]
    """At the confidence of the highest mean F1, as recall and f1; means over the classes."""
    recall: Mapped[float]
    f1: Mapped[float]
    map50: Mapped[float]
    """Mean average precision at IoU 0.5."""
    map50_95: Mapped[float]
    """The mean of those at IoU 0.5 to 0.95 in steps of 0.05."""
    preprocess_ms: Mapped[float]
    """Per image, as the two that follow."""
    inference_ms: Mapped[float]
    postprocess_ms: Mapped[float]


class EvaluationClassRow(Base):
    """One class in an evaluation; the metrics are null where the split has none of it."""

    __tablename__ = "evaluation_classes"

    job_id: Mapped[int] = mapped_column(
        ForeignKey(EvaluationRow.job_id), primary_key=True, autoincrement=False
    )
    class_: Mapped[str] = mapped_column("class", primary_key=True)
    images: Mapped[int]
    instances: Mapped[int]
    precision: Mapped[float | None]
    recall: Mapped[float | None]
    f1: Mapped[float | None]
    map50: Mapped[float | None]
    map50_95: Mapped[float | None]

    __table_args__ = (CheckConstraint("(instances = 0) = (map50 IS NULL)", "measured"),)

"""The tables of evaluations: how good a model is on a split of a data set."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from db.dataset_tables import DatasetRow
from db.error_kinds import BoxSize, ErrorKind
from db.model_tables import ModelRow
from db.tables import Base, one_of


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
    best_confidence: Mapped[float | None]
    """Of the highest mean F1; null where nothing is found at any confidence.

    It is null, as the rest, where it was measured before this was kept.
    """
    true_positives: Mapped[int | None]
    """At that confidence and IoU 0.5, as the two that follow."""
    false_positives: Mapped[int | None]
    false_negatives: Mapped[int | None]
    false_positives_cost: Mapped[float | None]
    """What mAP50 would gain if every false positive ranked behind every true one."""
    false_negatives_cost: Mapped[float | None]
    """What it would gain if objects that were not found did not count."""


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
    best_confidence: Mapped[float | None]
    """Of this class's highest F1."""

    __table_args__ = (CheckConstraint("(instances = 0) = (map50 IS NULL)", "measured"),)


class EvaluationErrorRow(Base):
    """A kind of error: how often the model makes it, and what that costs."""

    __tablename__ = "evaluation_errors"

    job_id: Mapped[int] = mapped_column(
        ForeignKey(EvaluationRow.job_id), primary_key=True, autoincrement=False
    )
    kind: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    """At the confidence of the highest mean F1."""
    map50_cost: Mapped[float]
    """What mAP50 would gain if the model made no error of this kind, and all others."""

    __table_args__ = (CheckConstraint(one_of("kind", ErrorKind), "kind"),)


class EvaluationConfusionRow(Base):
    """How often a class is taken for another; of either, null is background."""

    __tablename__ = "evaluation_confusion"

    job_id: Mapped[int] = mapped_column(
        ForeignKey(EvaluationRow.job_id), primary_key=True, autoincrement=False
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    true_class: Mapped[str | None]
    predicted_class: Mapped[str | None]
    count: Mapped[int]
    """At the confidence of the highest mean F1."""


class EvaluationMissRow(Base):
    """The objects of a class and size, and how many of them were found, or not seen at all."""

    __tablename__ = "evaluation_misses"

    job_id: Mapped[int] = mapped_column(
        ForeignKey(EvaluationRow.job_id), primary_key=True, autoincrement=False
    )
    class_: Mapped[str] = mapped_column("class", primary_key=True)
    size: Mapped[str] = mapped_column(primary_key=True)
    instances: Mapped[int]
    found: Mapped[int]
    """At the confidence of the highest mean F1."""
    missed: Mapped[int]
    """The rest was seen in the wrong place or as another class."""

    __table_args__ = (CheckConstraint(one_of("size", BoxSize), "size"),)


class EvaluationSweepRow(Base):
    """Precision, recall and F1 at a confidence, in steps of 0.01."""

    __tablename__ = "evaluation_sweep"

    job_id: Mapped[int] = mapped_column(
        ForeignKey(EvaluationRow.job_id), primary_key=True, autoincrement=False
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """0 for the mean over the classes, then a number for each class."""
    confidence: Mapped[float] = mapped_column(primary_key=True, autoincrement=False)
    class_: Mapped[str | None] = mapped_column("class")
    """Null for the mean over the classes."""
    precision: Mapped[float]
    recall: Mapped[float]
    f1: Mapped[float]

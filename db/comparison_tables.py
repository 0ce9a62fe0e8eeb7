"""The tables of comparisons: several models on the same images of a split."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.dataset_tables import DatasetRow
from db.error_kinds import ErrorKind
from db.model_tables import ModelRow
from db.tables import Base, one_of


class ComparisonRow(Base):
    """A split of a data set, and the arguments by which models were measured on it."""

    __tablename__ = "comparisons"

    job_id: Mapped[int] = mapped_column(
        ForeignKey("jobs.id"), primary_key=True, autoincrement=False
    )
    dataset_id: Mapped[int] = mapped_column(ForeignKey(DatasetRow.id), index=True)
    split: Mapped[str]
    imgsz: Mapped[int]
    batch: Mapped[int]
    conf: Mapped[float]
    iou: Mapped[float]
    max_det: Mapped[int]
    at: Mapped[float | None]
    """The confidence at which true and false positives are counted; null: each model's best."""
    match_iou: Mapped[float]
    """The IoU from which on a box is a true positive there."""
    device: Mapped[str]
    images: Mapped[int]
    instances: Mapped[int]
    """Objects of the classes below."""
    classes: Mapped[list[str]] = mapped_column(JSON)
    """The data set's classes that every model knows; nothing else counts."""


class ComparisonModelRow(Base):
    """A model in a comparison; the base is at position 0, and has no differences."""

    __tablename__ = "comparison_models"

    job_id: Mapped[int] = mapped_column(
        ForeignKey(ComparisonRow.job_id), primary_key=True, autoincrement=False
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    model_id: Mapped[int] = mapped_column(ForeignKey(ModelRow.id), index=True)
    left_out: Mapped[list[str]] = mapped_column(JSON)
    """The data set's classes that this model does not know."""
    precision: Mapped[float]
    """At the confidence of the highest mean F1, as recall and f1; means over the classes."""
    recall: Mapped[float]
    f1: Mapped[float]
    map50: Mapped[float]
    map50_95: Mapped[float]
    map50_difference: Mapped[float | None]
    """To the base; positive is better."""
    map50_low: Mapped[float | None]
    """Ends of the 95 % interval of that difference, by a bootstrap over the images."""
    map50_high: Mapped[float | None]
    map50_95_difference: Mapped[float | None]
    map50_95_low: Mapped[float | None]
    map50_95_high: Mapped[float | None]
    best_confidence: Mapped[float]
    """Of the highest mean F1."""
    counted_at: Mapped[float]
    """The confidence of the counts that follow, and of their precision, recall and F1."""
    true_positives: Mapped[int]
    false_positives: Mapped[int]
    false_negatives: Mapped[int]
    counted_precision: Mapped[float]
    """Of all objects alike, whatever their class, as the two that follow."""
    counted_recall: Mapped[float]
    counted_f1: Mapped[float]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    parameters: Mapped[int] = mapped_column(BigInteger)
    gflops: Mapped[float]
    """Of one image of `imgsz` by `imgsz`: 10^9 multiplications and additions."""
    preprocess_ms: Mapped[float]
    """Per image, as the two that follow."""
    inference_ms: Mapped[float]
    postprocess_ms: Mapped[float]

    __table_args__ = (
        CheckConstraint("(position = 0) = (map50_difference IS NULL)", "compared_with_the_base"),
    )


class ComparisonClassRow(Base):
    """One class of one model; the metrics are null where the split has none of it."""

    __tablename__ = "comparison_classes"

    job_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    class_: Mapped[str] = mapped_column("class", primary_key=True)
    images: Mapped[int]
    instances: Mapped[int]
    precision: Mapped[float | None]
    recall: Mapped[float | None]
    f1: Mapped[float | None]
    map50: Mapped[float | None]
    map50_95: Mapped[float | None]
    best_confidence: Mapped[float | None]

    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "position"], [ComparisonModelRow.job_id, ComparisonModelRow.position]
        ),
        CheckConstraint("(instances = 0) = (map50 IS NULL)", "measured"),
    )


class ComparisonErrorRow(Base):
    """A kind of error of one model; as in `evaluation_errors`."""

    __tablename__ = "comparison_errors"

    job_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    map50_cost: Mapped[float]

    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "position"], [ComparisonModelRow.job_id, ComparisonModelRow.position]
        ),
        CheckConstraint(one_of("kind", ErrorKind), "kind"),
    )

"""The tables of predictions: what a model saw in images."""

from __future__ import annotations

from sqlalchemy import JSON, CheckConstraint, ForeignKey, ForeignKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.model_tables import ModelRow
from db.tables import Base


class PredictionRow(Base):
    """One model on some images, with the arguments by which it looked at them."""

    __tablename__ = "predictions"

    job_id: Mapped[int] = mapped_column(
        ForeignKey("jobs.id"), primary_key=True, autoincrement=False
    )
    model_id: Mapped[int] = mapped_column(ForeignKey(ModelRow.id), index=True)
    folder: Mapped[str]
    """That the images' names are relative to."""
    imgsz: Mapped[int]
    conf: Mapped[float]
    iou: Mapped[float]
    max_det: Mapped[int]
    classes: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Those that were looked for; null for all."""
    device: Mapped[str]
    images: Mapped[int]
    unreadable: Mapped[int]
    limited: Mapped[int]
    """Images in which a limit on the number of boxes was reached."""
    detections: Mapped[int]
    seconds: Mapped[float]
    """From the first image to the last, drawing included."""
    annotated: Mapped[str | None]
    """The folder of the drawn images, relative to `home`; an archive in an object store."""

    __table_args__ = (CheckConstraint("unreadable < images", "something_was_read"),)


class PredictionImageRow(Base):
    """An image that was looked at, or could not be read."""

    __tablename__ = "prediction_images"

    job_id: Mapped[int] = mapped_column(
        ForeignKey(PredictionRow.job_id), primary_key=True, autoincrement=False
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1, in the order of the names."""
    name: Mapped[str]
    width: Mapped[int | None]
    """In pixels, as it is shown; null where it could not be read."""
    height: Mapped[int | None]
    detections: Mapped[int]
    limited: Mapped[bool]
    """Whether a limit on the number of boxes was reached in it."""
    problem: Mapped[str | None]
    """Why it could not be read."""

    __table_args__ = (
        CheckConstraint(
            "(problem IS NULL) = (width IS NOT NULL) AND (problem IS NULL) = (height IS NOT NULL)",
            "read_or_not",
        ),
    )


class DetectionRow(Base):
    """A box: one object that the model saw in one image."""

    __tablename__ = "detections"

    job_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Of the job's, from 1; those of an image follow each other, the most confident first."""
    image_number: Mapped[int]
    """Of its image."""
    class_: Mapped[str] = mapped_column("class")
    confidence: Mapped[float]
    x1: Mapped[float]
    """Left, in pixels of the image as it is shown; as the three that follow."""
    y1: Mapped[float]
    x2: Mapped[float]
    y2: Mapped[float]

    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "image_number"], [PredictionImageRow.job_id, PredictionImageRow.number]
        ),
        CheckConstraint("confidence BETWEEN 0 AND 1", "confidence"),
    )

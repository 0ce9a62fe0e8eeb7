"""The tables of trainings: what was asked, and how each epoch went."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from db.dataset_tables import DatasetRow
from db.model_tables import ModelRow
from db.tables import Base


class TrainingRow(Base):
    """A training that succeeded: the model it made, and what from."""

    __tablename__ = "trainings"

    job_id: Mapped[int] = mapped_column(
        ForeignKey("jobs.id"), primary_key=True, autoincrement=False
    )
    model_id: Mapped[int] = mapped_column(ForeignKey(ModelRow.id), index=True)
    base_model_id: Mapped[int | None] = mapped_column(ForeignKey(ModelRow.id), index=True)
    """Null where it began from scratch."""
    base: Mapped[str]
    """`fruit@3`; or the architecture, `yolov8s.yaml`."""
    dataset_id: Mapped[int] = mapped_column(ForeignKey(DatasetRow.id), index=True)
    args: Mapped[dict[str, Any]]
    """What was asked, under Ultralytics' names."""
    versions: Mapped[dict[str, Any]]
    """Of nightshelf, ultralytics, torch and python."""
    device: Mapped[str]
    batch: Mapped[int]
    """Images at once, as it was in the end."""
    epochs: Mapped[int]
    """The number of the last epoch that was asked for."""
    epochs_run: Mapped[int]
    best_epoch: Mapped[int]
    """The one whose weights are the model."""
    stopped_early: Mapped[bool]
    seconds: Mapped[float]
    """Of all epochs."""
    extends_job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    """The training that this one went on with."""

    __table_args__ = (CheckConstraint("epochs_run >= 1", "epochs_run"),)


class TrainingEpochRow(Base):
    """An epoch of a training, written as it ends."""

    __tablename__ = "training_epochs"

    job_id: Mapped[int] = mapped_column(
        ForeignKey("jobs.id"), primary_key=True, autoincrement=False
    )
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1; those of a training that extends another go on from its last."""
    attempt: Mapped[int]
    """At the job, in which it was trained."""
    box_loss: Mapped[float]
    """Means over the epoch, of the training images; each is weighted by its gain."""
    cls_loss: Mapped[float]
    dfl_loss: Mapped[float]
    val_box_loss: Mapped[float | None]
    """Of the validation images; null where it was not finite, as half precision may have it."""
    val_cls_loss: Mapped[float | None]
    val_dfl_loss: Mapped[float | None]
    precision: Mapped[float]
    """On the validation images, at the confidence of the highest mean F1, as recall."""
    recall: Mapped[float]
    map50: Mapped[float]
    map50_95: Mapped[float]
    learning_rates: Mapped[list[float]] = mapped_column(JSON())
    """At the end of the epoch, of each of the optimiser's groups of parameters."""
    seconds: Mapped[float]
    """Validation and the saving of checkpoints included."""
    best: Mapped[bool]
    """Whether it was the best so far; the last of these has the model's weights."""
    final: Mapped[bool]
    """Whether none was to follow: all were trained, or early stopping ended it."""
    checkpoint: Mapped[str | None]
    """Address of what the training can go on from, relative to `home`; kept of the last and of the
    best epoch while the training is not done."""
    checkpoint_sha256: Mapped[str | None]
    ended_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("epoch >= 1", "numbered_from_1"),
        CheckConstraint("(checkpoint IS NULL) = (checkpoint_sha256 IS NULL)", "checkpoint"),
    )

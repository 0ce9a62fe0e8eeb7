"""The tables of registered models: what each is, and which of its versions is in production."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.states import Stage
from db.tables import Base, one_of, partial_index

IN_PRODUCTION = "stage = 'production'"


class ModelRow(Base):
    """A registered detection checkpoint, known by its content: a version of a name."""

    __tablename__ = "models"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[int]
    """Of those with this name, from 1."""
    sha256: Mapped[str] = mapped_column(unique=True)
    stage: Mapped[str]
    address: Mapped[str]
    """Relative to `home`."""
    task: Mapped[str]
    architecture: Mapped[str]
    parameters: Mapped[int] = mapped_column(BigInteger)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[str]
    """The path it was added from, or the training that made it."""
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    added_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("name", "version"),
        CheckConstraint("version >= 1", "numbered_from_1"),
        CheckConstraint(one_of("stage", Stage), "stage"),
        partial_index("uq_models_in_production", "name", where=IN_PRODUCTION, unique=True),
    )


class ModelClassRow(Base):
    """A class that a model tells apart."""

    __tablename__ = "model_classes"

    model_id: Mapped[int] = mapped_column(
        ForeignKey("models.id"), primary_key=True, autoincrement=False
    )
    class_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]


class ModelStageRow(Base):
    """A change of a model's stage: when, by whom and why."""

    __tablename__ = "model_stages"

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), index=True)
    stage: Mapped[str]
    changed_at: Mapped[datetime]
    changed_by: Mapped[str]
    why: Mapped[str]
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    """The comparison that decided it, if one did."""

    __table_args__ = (CheckConstraint(one_of("stage", Stage), "stage"),)

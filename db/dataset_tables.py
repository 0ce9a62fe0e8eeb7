"""The tables of data sets: what is in one, by split and class, and what is wrong with it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from db.tables import Base


class DatasetRow(Base):
    """A data set, known by its content: the same content is the same version."""

    __tablename__ = "datasets"

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    address: Mapped[str]
    """The YAML file under which it was last seen."""
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    """The `check` job that looked at it last; null if it was only used."""
    checked_at: Mapped[datetime | None]


class DatasetClassRow(Base):
    """A class of a data set, and how often it is seen in a split."""

    __tablename__ = "dataset_classes"

    dataset_id: Mapped[int] = mapped_column(
        ForeignKey("datasets.id"), primary_key=True, autoincrement=False
    )
    split: Mapped[str] = mapped_column(primary_key=True)
    class_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    class_: Mapped[str] = mapped_column("class")
    instances: Mapped[int]
    images: Mapped[int]


class DatasetSplitRow(Base):
    """A split of a data set."""

    __tablename__ = "dataset_splits"

    dataset_id: Mapped[int] = mapped_column(
        ForeignKey("datasets.id"), primary_key=True, autoincrement=False
    )
    split: Mapped[str] = mapped_column(primary_key=True)
    images: Mapped[int]
    """Those that decode."""
    labelled: Mapped[int]
    """Images with an object."""
    background: Mapped[int]
    """Images without one."""
    instances: Mapped[int]
    mean_per_class: Mapped[float]
    most_frequent: Mapped[str | None]
    """Class; null where there is not one instance."""
    least_frequent: Mapped[str | None]
    """Class, of those that are seen."""
    imbalance: Mapped[float | None]
    """Instances of the most frequent class for one of the least frequent."""
    small: Mapped[int]
    """Instances that cover less than 1 % of their picture."""

    __table_args__ = (CheckConstraint("images = labelled + background", "images"),)


class DatasetFindingRow(Base):
    """Something that is wrong with a data set."""

    __tablename__ = "dataset_findings"

    dataset_id: Mapped[int] = mapped_column(
        ForeignKey("datasets.id"), primary_key=True, autoincrement=False
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1, the worst first."""
    kind: Mapped[str]
    severity: Mapped[str]
    split: Mapped[str | None]
    count: Mapped[int]
    examples: Mapped[list[str]] = mapped_column(JSON())

    __table_args__ = (CheckConstraint("severity IN ('warning', 'error')", "severity"),)

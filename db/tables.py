"""The tables, with the constraints by which the database itself enforces what must hold."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    MetaData,
    Text,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.dialect import UtcDateTime
from db.states import Outcome, State


def one_of(column: str, values: type[StrEnum]) -> str:
    """The condition that a column has one of the values."""
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


# Predicates of the partial indexes. A query must say the same, with the values spelled out, or
# neither PostgreSQL nor SQLite can see that the index serves it.
ANSWERS_FOR_ITS_FINGERPRINT = (
    "state IN ('waiting', 'queued', 'running', 'succeeded') AND NOT superseded"
)
UNRUNG = "state = 'queued' AND rung_at IS NULL"
RUNG = "rung_at IS NOT NULL"
LIVE_CHILD = "parent_id IS NOT NULL AND ended_at IS NULL"
IDLE = "ended_at IS NULL AND lease_token IS NULL"


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of the rows for which `where` holds, on both databases."""
    return Index(
        name, *columns, unique=unique, postgresql_where=text(where), sqlite_where=text(where)
    )


class Base(DeclarativeBase):
    """All tables; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - the name and form that SQLAlchemy asks for
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(),
        str: Text(),
    }


class JobRow(Base):
    """What was asked for, and how far it is."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    label: Mapped[str]
    spec: Mapped[dict[str, Any]]
    fingerprint: Mapped[str]
    superseded: Mapped[bool] = mapped_column(server_default=false())
    """Whether a forced job took this one's place: it no longer answers for its fingerprint."""
    queue: Mapped[str]
    priority: Mapped[int]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    children_left: Mapped[int] = mapped_column(server_default=text("0"))

    state: Mapped[str]
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    """Number of the current or last attempt, from 1; 0 before the first."""
    free_attempts: Mapped[int] = mapped_column(server_default=text("0"))
    """How many of them do not count: handed back, or before a retry that somebody asked for."""
    max_attempts: Mapped[int]
    not_before: Mapped[datetime | None]
    """When the next attempt may begin, after one that failed."""
    rung_at: Mapped[datetime | None]
    """When a message was last sent for it; null if none is outstanding, as for all but queued."""

    lease_token: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    worker: Mapped[str | None]
    cancel_requested: Mapped[bool] = mapped_column(server_default=false())

    progress_done: Mapped[float] = mapped_column(server_default=text("0"))
    progress_total: Mapped[float | None]
    progress_unit: Mapped[str | None]
    progress_note: Mapped[str | None]

    error: Mapped[str | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    """When the current or last attempt began."""
    progress_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(one_of("state", State), "state"),
        CheckConstraint(
            "(state = 'running') = (lease_token IS NOT NULL)"
            " AND (state = 'running') = (lease_expires_at IS NOT NULL)",
            "lease_while_running",
        ),
        CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled')) = (ended_at IS NOT NULL)",
            "ended_when_over",
        ),
        CheckConstraint("state <> 'failed' OR error IS NOT NULL", "failed_says_why"),
        CheckConstraint("children_left >= 0", "children_left"),
        CheckConstraint("free_attempts BETWEEN 0 AND attempt", "free_attempts"),
        partial_index(
            "uq_jobs_live_fingerprint",
            "fingerprint",
            where=ANSWERS_FOR_ITS_FINGERPRINT,
            unique=True,
        ),
        Index("ix_jobs_state_queue", "state", "queue", "priority", "id"),
        Index("ix_jobs_parent_id", "parent_id"),
        partial_index("ix_jobs_unrung", "queue", "parent_id", "id", where=UNRUNG),
        partial_index("ix_jobs_rung", "queue", where=RUNG),
        partial_index("ix_jobs_live_children", "parent_id", where=LIVE_CHILD),
        partial_index("ix_jobs_idle", "created_at", where=IDLE),
    )


class AttemptRow(Base):
    """One run of a job on one worker."""

    __tablename__ = "job_attempts"

    job_id: Mapped[int] = mapped_column(
        ForeignKey("jobs.id"), primary_key=True, autoincrement=False
    )
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    worker: Mapped[str]
    host: Mapped[str]
    device: Mapped[str]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    error: Mapped[str | None]
    traceback: Mapped[str | None]

    __table_args__ = (
        CheckConstraint(one_of("outcome", Outcome), "outcome"),
        CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", "outcome_when_ended"),
    )


class FileRow(Base):
    """A file that a job left behind, kept under `home`."""

    __tablename__ = "job_files"

    job_id: Mapped[int] = mapped_column(
        ForeignKey("jobs.id"), primary_key=True, autoincrement=False
    )
    name: Mapped[str] = mapped_column(primary_key=True)
    address: Mapped[str]
    """Relative to `home`."""
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)


class VideoRow(Base):
    """A video, known by its content."""

    __tablename__ = "videos"

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    address: Mapped[str]
    """The path under which it was last seen."""
    width: Mapped[int]
    height: Mapped[int]
    fps: Mapped[float]
    frames_decoded: Mapped[int]
    frames_claimed: Mapped[int | None]
    """As the container says; null where it does not."""
    frames_missing: Mapped[int]
    duration_s: Mapped[float]
    """From the frames' timestamps, to the end of the last decoded one."""
    codec: Mapped[str]
    damage: Mapped[str | None]
    """What disturbed or ended the decoding; null for a sound file."""


class TrackingRow(Base):
    """What one `track` job saw, in totals: one row a job."""

    __tablename__ = "trackings"

    job_id: Mapped[int] = mapped_column(
        ForeignKey("jobs.id"), primary_key=True, autoincrement=False
    )
    video_id: Mapped[int] = mapped_column(ForeignKey("videos.id"), index=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), index=True)
    frames_processed: Mapped[int]
    frames_inferred: Mapped[int]
    """Frames that the model looked at in this job and its children; 0 where all detections were
    kept from before."""
    detections: Mapped[int] = mapped_column(BigInteger)
    """Detections that were offered to the tracker."""
    degenerate_boxes: Mapped[int]
    """Boxes without an area, dropped before tracking."""
    limited_frames: Mapped[int]
    """Frames in which a limit on the number of boxes or on NMS's time was reached."""


class DetectionSetRow(Base):
    """What one `detect` job kept for the job that tracks."""

    __tablename__ = "detection_sets"

    job_id: Mapped[int] = mapped_column(
        ForeignKey("jobs.id"), primary_key=True, autoincrement=False
    )
    address: Mapped[str]
    """Relative to `home`."""
    frames: Mapped[int]
    frames_inferred: Mapped[int]
    """Frames that the model looked at in this job; 0 where they were kept from before."""
    detections: Mapped[int] = mapped_column(BigInteger)


class TrackRow(Base):
    """One track: a product from its first to its last detection."""

    __tablename__ = "tracks"

    job_id: Mapped[int] = mapped_column(
        ForeignKey("trackings.job_id"), primary_key=True, autoincrement=False
    )
    track: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    class_: Mapped[str] = mapped_column("class")
    class_votes: Mapped[dict[str, Any]]
    """Class name to summed confidence."""
    first_frame: Mapped[int]
    last_frame: Mapped[int]
    first_s: Mapped[float]
    last_s: Mapped[float]
    detections: Mapped[int]
    mean_confidence: Mapped[float]

    __table_args__ = (
        CheckConstraint("track >= 1", "numbered_from_1"),
        CheckConstraint("first_frame >= 0 AND last_frame >= first_frame", "frames"),
        CheckConstraint("last_s >= first_s", "seconds"),
        CheckConstraint("detections >= 1", "detections"),
        CheckConstraint("mean_confidence BETWEEN 0 AND 1", "confidence"),
    )


class ClassCountRow(Base):
    """How many products of a class one job saw."""

    __tablename__ = "class_counts"

    job_id: Mapped[int] = mapped_column(
        ForeignKey("trackings.job_id"), primary_key=True, autoincrement=False
    )
    class_: Mapped[str] = mapped_column("class", primary_key=True)
    tracks: Mapped[int]
    detections: Mapped[int] = mapped_column(BigInteger)
    peak_simultaneous: Mapped[int]
    mean_visible: Mapped[float]

    __table_args__ = (
        CheckConstraint("peak_simultaneous BETWEEN 1 AND tracks", "peak"),
        CheckConstraint("mean_visible BETWEEN 0 AND peak_simultaneous", "mean"),
    )

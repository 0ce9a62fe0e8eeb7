"""Jobs as they are read: frozen records, and the queries that find them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, RowMapping, func, select

from db.errors import UsageError
from db.specs import AnySpec, Priority, spec_adapter
from db.states import OVER, State
from db.tables import AttemptRow, FileRow, JobRow


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running job is, in its own unit."""

    done: float
    total: float | None = None
    unit: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the database knew it at one moment; the fields are the columns of `jobs`."""

    id: int
    kind: str
    label: str
    spec: dict[str, Any]
    fingerprint: str
    queue: str
    priority: Priority
    parent_id: int | None
    children_left: int
    state: State
    attempt: int
    free_attempts: int
    max_attempts: int
    not_before: datetime | None
    rung_at: datetime | None
    lease_token: str | None
    lease_expires_at: datetime | None
    worker: str | None
    cancel_requested: bool
    progress_done: float
    progress_total: float | None
    progress_unit: str | None
    progress_note: str | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    progress_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, row: RowMapping) -> Job:
        """The record of a row of `jobs`."""
        values = {name: row[name] for name in JOB_COLUMNS}
        return cls(
            **{**values, "state": State(row["state"]), "priority": Priority(row["priority"])}
        )

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it unless somebody asks."""
        return self.state in OVER

    @property
    def parsed_spec(self) -> AnySpec:
        """The spec, validated again: rows can be edited by hand."""
        return spec_adapter.validate_python(self.spec)


class Pulse(NamedTuple):
    """What differs between two moments of a job of which there is something new to show."""

    state: str
    attempt: int
    cancel_requested: bool
    progress_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job; the fields are the columns of `job_attempts`."""

    job_id: int
    attempt: int
    worker: str
    host: str
    device: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    error: str | None
    traceback: str | None


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that a job left behind; the address is relative to `home`."""

    job_id: int
    name: str
    address: str
    sha256: str
    size_bytes: int


JOB_COLUMNS = tuple(field.name for field in fields(Job))
job_columns = [JobRow.__table__.c[name] for name in JOB_COLUMNS]

# SQLite takes 32,766 values in a statement, PostgreSQL's protocol 65,535.
_MOST_IDS = 5000


def find(tx: Connection, job_id: int) -> Job | None:
    """The job with this id, or None."""
    row = tx.execute(select(*job_columns).where(JobRow.id == job_id)).mappings().first()
    return Job.of(row) if row else None


def get(tx: Connection, job_id: int) -> Job:
    """The job with this id.

    Raises:
        UsageError: there is none.
    """
    if (job := find(tx, job_id)) is None:
        raise UsageError(f"there is no job {job_id}: `nightshelf jobs list` shows those that exist")
    return job


def listing(
    tx: Connection,
    *,
    states: Sequence[State] = (),
    kinds: Sequence[str] = (),
    ids: Sequence[int] = (),
    limit: int | None = None,
) -> list[Job]:
    """Jobs, the newest first; an empty filter lets every job through.

    Children stand for their parent's work, and are listed only where they are asked for: by kind
    or id. A parent that waits for its children shows their progress as its own.
    """
    if len(ids) > _MOST_IDS:
        parts = reversed(_parts(sorted(ids)))
        every = (listing(tx, states=states, kinds=kinds, ids=part) for part in parts)
        return [job for jobs in every for job in jobs][:limit]
    query = select(*job_columns).order_by(JobRow.id.desc()).limit(limit)
    if not kinds and not ids:
        query = query.where(JobRow.parent_id.is_(None))
    if states:
        query = query.where(JobRow.state.in_(states))
    if kinds:
        query = query.where(JobRow.kind.in_(kinds))
    if ids:
        query = query.where(JobRow.id.in_(ids))
    found = [Job.of(row) for row in tx.execute(query).mappings()]
    done = _done_by_children(tx, [job.id for job in found if job.state is State.WAITING])
    return [replace(job, progress_done=done.get(job.id, job.progress_done)) for job in found]


def live_ids(tx: Connection) -> list[int]:
    """The ids of the jobs that are not over, without children; the oldest first."""
    query = select(JobRow.id).where(JobRow.ended_at.is_(None), JobRow.parent_id.is_(None))
    return list(tx.scalars(query.order_by(JobRow.id)))


def pulses(tx: Connection, ids: Sequence[int]) -> dict[int, Pulse]:
    """The pulse of each of these jobs that exists: a tenth of the time that its record takes."""
    columns = [JobRow.__table__.c[name] for name in Pulse._fields]
    wanted = set(ids)
    return {
        row[0]: Pulse(*row[1:])
        for part in _parts(sorted(wanted))
        for row in tx.execute(select(JobRow.id, *columns).where(_is_among(part)))
        if row[0] in wanted
    }


def _is_among(part: Sequence[int]) -> ColumnElement[bool]:
    """Whether a job is one of these, or in a gap between them."""
    if part[-1] - part[0] < 2 * len(part):
        return JobRow.id.between(part[0], part[-1])  # a tenth of the time of naming them all
    return JobRow.id.in_(part)


def _parts(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[first : first + _MOST_IDS] for first in range(0, len(ids), _MOST_IDS)]


def _done_by_children(tx: Connection, parent_ids: Sequence[int]) -> dict[int, float]:
    if not parent_ids:
        return {}
    query = (
        select(JobRow.parent_id, func.sum(JobRow.progress_done))
        .where(JobRow.parent_id.in_(parent_ids))
        .group_by(JobRow.parent_id)
    )
    return {row[0]: float(row[1]) for row in tx.execute(query) if row[0] is not None}


def family(tx: Connection, parent_id: int) -> list[Job]:
    """The children of a job, in the order of their ids."""
    query = select(*job_columns).where(JobRow.parent_id == parent_id).order_by(JobRow.id)
    return [Job.of(row) for row in tx.execute(query).mappings()]


def attempts(tx: Connection, job_id: int) -> list[Attempt]:
    """The attempts at a job, the first one first."""
    columns = [AttemptRow.__table__.c[field.name] for field in fields(Attempt)]
    query = select(*columns).where(AttemptRow.job_id == job_id).order_by(AttemptRow.attempt)
    return [Attempt(**row) for row in tx.execute(query).mappings()]


def output_files(tx: Connection, job_id: int) -> list[OutputFile]:
    """The files that a job left behind, by name."""
    columns = [FileRow.__table__.c[field.name] for field in fields(OutputFile)]
    query = select(*columns).where(FileRow.job_id == job_id).order_by(FileRow.name)
    return [OutputFile(**row) for row in tx.execute(query).mappings()]


def count_by_state(tx: Connection) -> dict[State, int]:
    """How many jobs are in each state that has any."""
    query = select(JobRow.state, func.count()).group_by(JobRow.state)
    return {State(state): number for state, number in tx.execute(query)}

"""What waits for a worker although nothing keeps it, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, or_, select, union_all
from sqlalchemy.orm import aliased

from db.dialect import now
from db.states import State
from db.tables import AttemptRow, JobRow

_DUE = and_(
    JobRow.state == State.QUEUED, or_(JobRow.not_before.is_(None), JobRow.not_before <= now())
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued job that could run.

    Attributes:
        job_id: the job.
        queue: its queue in the broker.
        age_s: how long it has waited, in seconds by the database's clock.
    """

    job_id: int
    queue: str
    age_s: float


def longest_waiting(tx: Connection) -> Waiting | None:
    """The job that has been due for the longest time; None if none is due.

    A job waits since it was recorded, since its last attempt or its last child ended, or since
    the pause after an attempt was over: since the last of these that there is. (One that somebody
    retries by hand counts from the end of its last attempt until it is taken.)
    """
    child = aliased(JobRow)
    moments = union_all(
        select(JobRow.id, JobRow.created_at.label("moment")).where(_DUE),
        select(JobRow.id, JobRow.not_before).where(_DUE, JobRow.not_before.is_not(None)),
        select(JobRow.id, AttemptRow.ended_at)
        .join(AttemptRow, AttemptRow.job_id == JobRow.id)
        .where(_DUE, AttemptRow.ended_at.is_not(None)),
        select(JobRow.id, child.ended_at)
        .join(child, child.parent_id == JobRow.id)
        .where(_DUE, child.ended_at.is_not(None)),
    ).subquery()
    since = (
        select(moments.c.id, func.max(moments.c.moment).label("since"))
        .group_by(moments.c.id)
        .subquery()
    )
    row = tx.execute(
        select(JobRow.id, JobRow.queue, since.c.since, now().label("now"))
        .join(since, since.c.id == JobRow.id)
        .order_by(since.c.since, JobRow.id)
        .limit(1)
    ).first()
    if row is None:
        return None
    return Waiting(row.id, row.queue, max(0.0, (row.now - row.since).total_seconds()))

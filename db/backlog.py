"""What waits for a worker although nothing keeps it, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, and_, exists, func, or_, select, text, union_all
from sqlalchemy.orm import aliased

from db.dialect import now
from db.states import State
from db.tables import IDLE, AttemptRow, JobRow

# Not `state = 'queued'`, which says the same: SQLite would sort all that are queued instead of
# walking ix_jobs_idle in its order.
_DUE = and_(
    text(IDLE),
    JobRow.state != State.WAITING,
    or_(JobRow.not_before.is_(None), JobRow.not_before <= now()),
)


# A job, its queue, since when it waits, and the database's time.
_Found = tuple[int, str, datetime, datetime]


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
    fresh = tx.execute(
        select(JobRow.id, JobRow.queue, JobRow.created_at.label("since"), now().label("now"))
        .where(_DUE, JobRow.attempt == 0, JobRow.not_before.is_(None))
        .where(~exists().where(child.parent_id == JobRow.id))
        .order_by(JobRow.created_at)
        .limit(1)
    ).first()
    row = _longest_back(tx, fresh.since if fresh else None) or fresh
    if row is None:
        return None
    return Waiting(row.id, row.queue, max(0.0, (row.now - row.since).total_seconds()))


def _longest_back(tx: Connection, before: datetime | None) -> Row[*_Found] | None:
    """Of the jobs that had to wait for more than a worker, the one that is due for longest.

    It is looked for among those that were recorded, and are due, before a moment: few, whereas
    the fresh ones may be the whole night's.
    """
    back = select(JobRow.id, JobRow.queue, JobRow.created_at, JobRow.not_before).where(_DUE)
    if before is not None:
        back = back.where(JobRow.created_at < before)
    jobs = back.cte("back")
    moments = union_all(
        select(jobs.c.id, jobs.c.queue, jobs.c.created_at.label("moment")),
        select(jobs.c.id, jobs.c.queue, jobs.c.not_before),
        select(jobs.c.id, jobs.c.queue, AttemptRow.ended_at).join(
            AttemptRow, AttemptRow.job_id == jobs.c.id
        ),
        select(jobs.c.id, jobs.c.queue, JobRow.ended_at).join(
            JobRow, JobRow.parent_id == jobs.c.id
        ),
    ).subquery()
    since = func.max(moments.c.moment)
    longest = (
        select(moments.c.id, moments.c.queue, since.label("since"), now().label("now"))
        .group_by(moments.c.id, moments.c.queue)
        .order_by(since, moments.c.id)
        .limit(1)
    )
    if before is not None:
        longest = longest.having(since < before)
    return tx.execute(longest).first()

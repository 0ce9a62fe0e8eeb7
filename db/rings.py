"""Which jobs a message is due for: few at a time, so that priorities hold and Redis stays small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, and_, func, or_, select, update

from db.dialect import now
from db.job_records import Job, job_columns
from db.states import State
from db.tables import JobRow

# Children take their parent's place in the queue, in front of what was asked for after it.
_AGE = (func.coalesce(JobRow.parent_id, JobRow.id), JobRow.id)


def to_ring(
    tx: Connection, ring_depth: int, ring_again_s: float, messages: Mapping[str, int]
) -> list[Job]:
    """Mark the jobs that a message is due for, and return them in the order to ring.

    Those are, per queue, the first by priority and id while fewer than `ring_depth` messages are
    outstanding; and, where the broker holds fewer messages than are outstanding, those whose
    message is older than `ring_again_s`: it may be the one that was lost. (A message may wait
    longer than that for a busy worker, and must not be sent again and again meanwhile.)

    Args:
        tx: the transaction.
        ring_depth: how many messages a queue may have.
        ring_again_s: age of a message, in seconds, before it can be presumed lost.
        messages: how many messages each queue of the broker holds.
    """
    outstanding = tx.execute(
        select(JobRow.queue, func.count())
        .where(JobRow.state == State.QUEUED, JobRow.rung_at.is_not(None))
        .group_by(JobRow.queue)
    )
    losing = [queue for queue, count in outstanding if count > messages.get(queue, 0)]
    queued = and_(
        JobRow.state == State.QUEUED,
        or_(JobRow.not_before.is_(None), JobRow.not_before <= now()),
    )
    ranked = (
        select(
            JobRow.id,
            JobRow.queue,
            JobRow.rung_at,
            func.row_number()
            .over(
                partition_by=JobRow.queue,
                # Those whose bell has rung hold a place already.
                order_by=(JobRow.rung_at.is_(None), JobRow.priority.desc(), *_AGE),
            )
            .label("place"),
        )
        .where(queued)
        .subquery()
    )
    due = select(ranked.c.id).where(
        or_(
            and_(ranked.c.rung_at.is_(None), ranked.c.place <= ring_depth),
            and_(ranked.c.queue.in_(losing), ranked.c.rung_at < now(-ring_again_s)),
        )
    )
    rows = tx.execute(
        update(JobRow)
        .where(JobRow.id.in_(due), JobRow.state == State.QUEUED)
        .values(rung_at=now())
        .returning(*job_columns)
    ).mappings()
    return sorted(
        map(Job.of, rows), key=lambda job: (-job.priority, job.parent_id or job.id, job.id)
    )


def unring(tx: Connection, job_ids: Sequence[int]) -> None:
    """Note that the messages for these jobs could not be sent."""
    still_queued = and_(JobRow.id.in_(job_ids), JobRow.state == State.QUEUED)
    tx.execute(update(JobRow).where(still_queued).values(rung_at=None))

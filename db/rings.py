"""Which jobs a message is due for: few at a time, so that priorities hold and Redis stays small."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, func, or_, select, update

from db.dialect import now
from db.job_records import Job, job_columns
from db.states import State
from db.tables import JobRow


def to_ring(tx: Connection, ring_depth: int, ring_again_s: float) -> list[Job]:
    """Mark the jobs that a message is due for, and return them in the order to ring.

    Those are, per queue, the first by priority and id while fewer than `ring_depth` messages are
    outstanding, and those whose message seems to be lost.
    """
    queued = and_(
        JobRow.state == State.QUEUED,
        or_(JobRow.not_before.is_(None), JobRow.not_before <= now()),
    )
    ranked = (
        select(
            JobRow.id,
            JobRow.rung_at,
            func.row_number()
            .over(
                partition_by=JobRow.queue,
                # Those whose bell has rung hold a place already.
                order_by=(JobRow.rung_at.is_(None), JobRow.priority.desc(), JobRow.id),
            )
            .label("place"),
        )
        .where(queued)
        .subquery()
    )
    due = select(ranked.c.id).where(
        or_(
            and_(ranked.c.rung_at.is_(None), ranked.c.place <= ring_depth),
            ranked.c.rung_at < now(-ring_again_s),
        )
    )
    rows = tx.execute(
        update(JobRow)
        .where(JobRow.id.in_(due), JobRow.state == State.QUEUED)
        .values(rung_at=now())
        .returning(*job_columns)
    ).mappings()
    return sorted(map(Job.of, rows), key=lambda job: (-job.priority, job.id))


def unring(tx: Connection, job_ids: Sequence[int]) -> None:
    """Note that the messages for these jobs could not be sent."""
    still_queued = and_(JobRow.id.in_(job_ids), JobRow.state == State.QUEUED)
    tx.execute(update(JobRow).where(still_queued).values(rung_at=None))

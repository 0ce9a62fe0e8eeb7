"""Which jobs a message is due for: few at a time, so that priorities hold and Redis stays small."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

from sqlalchemy import (
    Connection,
    Row,
    Select,
    false,
    or_,
    select,
    text,
    true,
    union_all,
    update,
)

from db.dialect import now
from db.job_records import Job, job_columns
from db.specs import Priority, QueueClass
from db.states import State
from db.tables import RUNG, UNRUNG, JobRow

# The order is that in which a worker looks into them.
QUEUES = tuple(
    f"nightshelf.{queue_class}.{priority.name.lower()}"
    for priority in sorted(Priority, reverse=True)
    for queue_class in QueueClass
)

# Of a queued job: its id, queue and parent; whether it was rung for; whether that is long ago.
_Seen = tuple[int, str, int | None, bool, bool]


def to_ring(
    tx: Connection, ring_depth: int, ring_again_s: float, messages: Mapping[str, int]
) -> list[Job]:
    """Mark the jobs that a message is due for, and return them in the order to ring.

    Those are, per queue, the first by age while fewer than `ring_depth` messages are outstanding;
    and, where the broker holds fewer messages than are outstanding, those whose message is older
    than `ring_again_s`: it may be the one that was lost. (A message may wait longer than that for
    a busy worker, and must not be sent again and again meanwhile.)

    Any number may do this at once: what one has marked, the others leave alone. It looks at
    `ring_depth` jobs of a queue and no more, however many wait.

    Args:
        tx: the transaction.
        ring_depth: how many messages a queue may have.
        ring_again_s: age of a message, in seconds, before it can be presumed lost.
        messages: how many messages each queue of the broker holds.
    """
    rung: dict[str, list[Row[*_Seen]]] = defaultdict(list)
    unrung: dict[str, list[Row[*_Seen]]] = defaultdict(list)
    for row in tx.execute(_first_of_each_queue(ring_depth, ring_again_s)):
        (rung if row.rung else unrung)[row.queue].append(row)
    due: list[int] = []
    for queue in QUEUES:
        room = max(0, ring_depth - len(rung[queue]))
        # Children take their parent's place, in front of what was asked for after it.
        by_age = sorted(unrung[queue], key=lambda row: (row.parent_id or row.id, row.id))
        due += [row.id for row in by_age[:room]]
        if len(rung[queue]) > messages.get(queue, 0):
            due += [row.id for row in rung[queue] if row.late]
    if not due:
        return []
    still_due = or_(JobRow.rung_at.is_(None), JobRow.rung_at < now(-ring_again_s))
    rows = tx.execute(
        update(JobRow)
        .where(JobRow.id.in_(_held(due).where(still_due)))
        .values(rung_at=now())
        .returning(*job_columns)
    ).mappings()
    return sorted(
        map(Job.of, rows), key=lambda job: (-job.priority, job.parent_id or job.id, job.id)
    )


def unring(tx: Connection, job_ids: Sequence[int]) -> None:
    """Note that the messages for these jobs could not be sent."""
    tx.execute(update(JobRow).where(JobRow.id.in_(_held(job_ids))).values(rung_at=None))


@lru_cache  # to build it takes longer than to run it
def _first_of_each_queue(ring_depth: int, ring_again_s: float) -> Select[*_Seen]:
    """Of each queue all jobs that were rung for, and `ring_depth` that could be.

    One statement, and so one moment: two that count now and look then would ring for too many.
    """
    columns = (JobRow.id, JobRow.queue, JobRow.parent_id)
    late = JobRow.rung_at < now(-ring_again_s)
    arms = [select(*columns, true().label("rung"), late.label("late")).where(text(RUNG))]
    for queue in QUEUES:
        for parentage in (JobRow.parent_id.is_(None), JobRow.parent_id.is_not(None)):
            # In the order of ix_jobs_unrung, so that it ends after `ring_depth` rows.
            first = (
                select(*columns, false().label("rung"), false().label("late"))
                .where(text(UNRUNG), JobRow.queue == queue, parentage)
                .where(or_(JobRow.not_before.is_(None), JobRow.not_before <= now()))
                .order_by(JobRow.queue, JobRow.parent_id, JobRow.id)
                .limit(ring_depth)
                .subquery()
            )
            arms.append(select(first))
    return select(union_all(*arms).subquery())


def _held(job_ids: Sequence[int]) -> Select[int]:
    """Those of these jobs that are queued, locked in the order of their ids.

    Two transactions that lock several rows in different orders would wait for each other.
    """
    return (
        select(JobRow.id)
        .where(JobRow.id.in_(job_ids), JobRow.state == State.QUEUED)
        .order_by(JobRow.id)
        .with_for_update()
    )

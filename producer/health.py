"""Whether the parts of a deployment do their work: not only whether they answer."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Engine, and_, func, select

from db import backlog, queue
from db.dialect import now, reading
from db.errors import NightshelfError
from db.states import State
from db.tables import AttemptRow, JobRow

# A job that is due is taken within seconds where a worker is free; a reconciler passes every
# 15 s. Five minutes are many chances missed.
PATIENCE_S = 300.0


class Unhealthy(NightshelfError):
    """A part does not do its work."""


def check_worker(engine: Engine, host: str) -> str:
    """Whether the workers of a host take jobs.

    They do if one of them holds a lease. If none does, no job may have been due for longer than
    `PATIENCE_S`, and a worker there must answer a ping through the broker.

    Returns:
        why they are taken to be healthy, in one line.

    Raises:
        Unhealthy: they are not; the message says why.
        Unreachable: the broker does not answer.
    """
    with reading(engine) as tx:
        running = _count(
            tx, JobRow.state == State.RUNNING, JobRow.lease_expires_at >= now(), _is_on(host)
        )
        waiting = backlog.longest_waiting(tx)
    if running:
        return f"{running} running on {host}"
    if waiting is not None and waiting.age_s > PATIENCE_S:
        raise Unhealthy(
            f"nothing runs on {host} though job {waiting.job_id} has been due for "
            f"{waiting.age_s:.0f} s: see the worker's log, and whether a reconciler runs"
        )
    if not queue.ping(host):
        raise Unhealthy(f"no worker on {host} answers")
    return f"idle on {host}, and nothing is overdue"


def check_reconciler(engine: Engine) -> str:
    """Whether somebody does a reconciler's work, this one or another.

    No lease may have been over for longer than `PATIENCE_S`, and no job due for longer than that
    while nobody has rung for any in its queue. (One that hangs is found when there is work.)

    Returns:
        why it is taken to be healthy, in one line.

    Raises:
        Unhealthy: it is not; the message says why.
    """
    with reading(engine) as tx:
        dead = _count(tx, JobRow.state == State.RUNNING, JobRow.lease_expires_at < now(-PATIENCE_S))
        waiting = backlog.longest_waiting(tx)
        if dead:
            raise Unhealthy(f"the leases of {dead} jobs are over, and nobody queued them again")
        if waiting is not None and waiting.age_s > PATIENCE_S:
            rung = _count(tx, JobRow.queue == waiting.queue, JobRow.rung_at.is_not(None))
            if not rung:
                raise Unhealthy(
                    f"job {waiting.job_id} has been due for {waiting.age_s:.0f} s, and nobody "
                    "rang for it: does the broker answer?"
                )
    return "what died was queued again, and what is due was rung for"


def _is_on(host: str) -> ColumnElement[bool]:
    return (
        select(AttemptRow.job_id)
        .where(
            and_(AttemptRow.job_id == JobRow.id, AttemptRow.attempt == JobRow.attempt),
            AttemptRow.host == host,
        )
        .exists()
    )


def _count(tx: Connection, *where: ColumnElement[bool]) -> int:
    return tx.scalars(select(func.count()).select_from(JobRow).where(*where)).one()

"""The job protocol: every transition of a job's state, and nothing else.

(How a job comes to be is in `db.job_creation`.)

Each function is one step in a transaction that the caller opens and commits; messages are sent
(`db.queue`) only after that commit. A running job belongs to whoever holds its lease token: each
change of a running job names the token in its WHERE, so that a worker presumed dead that comes
back changes nothing. docs/jobs.md draws the states.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from db.dialect import now
from db.errors import LeaseLost, UsageError
from db.job_creation import create_child
from db.job_records import Job, Progress, family, get, job_columns
from db.specs import Spec
from db.states import Outcome, State
from db.tables import LIVE_CHILD, AttemptRow, JobRow

_NO_LEASE: dict[str, Any] = {"lease_token": None, "lease_expires_at": None}
_CANCELLED: dict[str, Any] = {
    "state": State.CANCELLED,
    "cancel_requested": True,
    "ended_at": now(),
    "rung_at": None,
}
_TO_QUEUE: dict[str, Any] = {
    "state": State.QUEUED,
    "rung_at": None,
    "not_before": None,
    "ended_at": None,
    **_NO_LEASE,
}


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims: a name that is new at every start of a worker process, and where it runs."""

    worker: str
    host: str
    device: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run a job, until the lease expires or is renewed."""

    job: Job
    token: str


def claim(tx: Connection, job_id: int, claimant: Claimant, lease_s: float) -> Lease | None:
    """Take a queued job and begin its next attempt; None if it is not to be had."""
    token = secrets.token_hex(16)
    row = _change(
        tx,
        and_(
            JobRow.id == job_id,
            JobRow.state == State.QUEUED,
            or_(JobRow.not_before.is_(None), JobRow.not_before <= now()),
        ),
        state=State.RUNNING,
        attempt=JobRow.attempt + 1,
        lease_token=token,
        lease_expires_at=now(lease_s),
        worker=claimant.worker,
        started_at=now(),
        progress_at=now(),
        rung_at=None,
        not_before=None,
        progress_done=0,
        progress_total=None,
        progress_unit=None,
        progress_note=None,
    )
    if row is None:
        return None
    tx.execute(
        insert(AttemptRow).values(
            job_id=row.id,
            attempt=row.attempt,
            worker=claimant.worker,
            host=claimant.host,
            device=claimant.device,
            started_at=now(),
        )
    )
    return Lease(row, token)


def heartbeat(
    tx: Connection, lease: Lease, lease_s: float, progress: Progress | None = None
) -> bool:
    """Renew the lease and write progress.

    Returns:
        whether somebody wants the job cancelled.

    Raises:
        LeaseLost: the job is no longer ours.
    """
    values: dict[str, Any] = {"lease_expires_at": now(lease_s)}
    if progress is not None:
        values |= {
            "progress_done": progress.done,
            "progress_total": progress.total,
            "progress_unit": progress.unit,
            "progress_note": progress.note,
            "progress_at": now(),
        }
    return _change_ours(tx, lease, **values).cancel_requested


def finish(tx: Connection, lease: Lease, progress: Progress | None = None) -> None:
    """End a job with success; its results are written in the same transaction, after this.

    Args:
        tx: the transaction.
        lease: the job's.
        progress: the last that the job told, which may not have been written yet.

    Raises:
        LeaseLost: the job is no longer ours.
    """
    job = _change_ours(
        tx,
        lease,
        state=State.SUCCEEDED,
        ended_at=now(),
        error=None,
        **_at_the_end(progress),
        **_NO_LEASE,
    )
    _end_attempt(tx, job, Outcome.SUCCEEDED)
    _count_down(tx, job)


def _at_the_end(progress: Progress | None) -> dict[str, Any]:
    """The progress of a job that is done: all of what there was to do, where that is known."""
    if progress is None:
        return {"progress_done": func.coalesce(JobRow.progress_total, JobRow.progress_done)}
    return {
        "progress_done": progress.done if progress.total is None else progress.total,
        "progress_total": progress.total,
        "progress_unit": progress.unit,
        "progress_note": progress.note,
    }


def fail(
    tx: Connection,
    lease: Lease,
    error: str,
    traceback: str | None = None,
    *,
    permanent: bool = False,
    backoff_s: float = 0.0,
) -> Job:
    """End an attempt that failed: the job is queued again, or has failed for good.

    Raises:
        LeaseLost: the job is no longer ours.
    """
    job = _change_ours(tx, lease, **_after_failure(lease.job, error, permanent, backoff_s))
    _end_attempt(tx, job, Outcome.FAILED, error, traceback)
    return _settle(tx, job)


def split(tx: Connection, lease: Lease, children: Sequence[Spec], progress: Progress) -> Job:
    """Make a running job the parent of smaller ones, and have it wait for them.

    A job that was split before is split again only for what is missing now; each time after the
    first counts as an attempt, so that work that gets lost again and again ends.

    Raises:
        LeaseLost: the job is no longer ours.
    """
    before = family(tx, lease.job.id)
    job = _change_ours(
        tx,
        lease,
        state=State.WAITING,
        children_left=len(children),
        free_attempts=JobRow.free_attempts + (0 if before else 1),
        progress_total=progress.total,
        progress_unit=progress.unit,
        progress_note=progress.note,
        **_NO_LEASE,
    )
    _end_attempt(tx, job, Outcome.SPLIT)
    mark = f"{job.id}.{job.attempt}"  # the same work for another parent, or again, is another job
    for child in children:
        create_child(tx, child, job, mark)
    return _settle(tx, job)


def hand_back(tx: Connection, lease: Lease) -> Job:
    """Put a job back into the queue at no cost: its worker was told to stop.

    Raises:
        LeaseLost: the job is no longer ours.
    """
    job = _change_ours(tx, lease, free_attempts=JobRow.free_attempts + 1, **_TO_QUEUE)
    _end_attempt(tx, job, Outcome.HANDED_BACK)
    return _settle(tx, job)


def end_cancelled(tx: Connection, lease: Lease) -> None:
    """End a running job that stopped because somebody wanted it cancelled.

    Raises:
        LeaseLost: the job is no longer ours.
    """
    job = _change_ours(tx, lease, state=State.CANCELLED, ended_at=now(), **_NO_LEASE)
    _end_attempt(tx, job, Outcome.CANCELLED)
    _settle(tx, job)


def cancel(tx: Connection, job_id: int) -> Job:
    """Cancel a job. A running one is told, and ends at its next checkpoint.

    Its children follow with `cancel_abandoned`, in a transaction of its own: one that held the
    parent and asked for a child would deadlock with a child that ends and asks for its parent.

    Raises:
        UsageError: there is no such job, or it is over already.
    """
    job = get(tx, job_id)
    ended = _change(
        tx,
        and_(JobRow.id == job_id, JobRow.state.in_((State.WAITING, State.QUEUED))),
        **_CANCELLED,
    )
    if ended:
        return _settle(tx, ended)
    told = _change(
        tx, and_(JobRow.id == job_id, JobRow.state == State.RUNNING), cancel_requested=True
    )
    if told is None:
        raise UsageError(f"job {job_id} is over already: it ended as {job.state}")
    return told


def cancel_abandoned(tx: Connection) -> int:
    """Cancel the children whose parent is over; returns how many were told or ended."""
    parent = aliased(JobRow)
    over = exists().where(parent.id == JobRow.parent_id, parent.ended_at.is_not(None))
    untold = or_(JobRow.state != State.RUNNING, JobRow.cancel_requested.is_(False))
    abandoned = tx.scalars(select(JobRow.id).where(text(LIVE_CHILD), over, untold)).all()
    if not abandoned:
        return 0
    these = JobRow.id.in_(abandoned)
    # Locked in the order of their ids, as by everybody who changes several jobs at once.
    tx.execute(select(JobRow.id).where(these).order_by(JobRow.id).with_for_update())
    waiting = update(JobRow).where(these, JobRow.state.in_((State.WAITING, State.QUEUED)))
    running = update(JobRow).where(these, JobRow.state == State.RUNNING)
    ended = tx.execute(waiting.values(**_CANCELLED)).rowcount
    return ended + tx.execute(running.values(cancel_requested=True)).rowcount


def retry(tx: Connection, job_id: int) -> Job:
    """Queue a failed or cancelled job again, with a full number of attempts.

    Of a parent, the children that failed are queued again and those that succeeded are kept.

    Raises:
        UsageError: there is no such job, it is not over, it succeeded, a child of it has still
            to stop, or another job already does the same.
    """
    job = get(tx, job_id)
    if job.state not in (State.FAILED, State.CANCELLED):
        raise UsageError(f"job {job_id} is {job.state}: only a failed or cancelled job is retried")
    broken = [child for child in family(tx, job_id) if child.state is not State.SUCCEEDED]
    if stopping := [child.id for child in broken if not child.over]:
        raise UsageError(f"job {job_id} has jobs that are still to stop: {stopping}; retry then")
    values = _TO_QUEUE | {
        "state": State.WAITING if broken else State.QUEUED,
        "children_left": len(broken),
        "free_attempts": JobRow.attempt,
        "cancel_requested": False,
        "superseded": False,
        "error": None,
    }
    try:
        with tx.begin_nested():
            changed = _change(tx, and_(JobRow.id == job_id, JobRow.state == job.state), **values)
    except IntegrityError:
        raise UsageError(
            f"another job already does what job {job_id} did: see `nightshelf jobs list`"
        ) from None
    if changed is None:
        raise UsageError(f"job {job_id} was changed by somebody else just now: look again")
    for child in broken:
        retry(tx, child.id)
    return changed


def expired(tx: Connection) -> list[Lease]:
    """The running jobs whose lease has run out, with the token that they were read with."""
    rows = tx.execute(
        select(*job_columns).where(JobRow.state == State.RUNNING, JobRow.lease_expires_at < now())
    ).mappings()
    return [Lease(job, job.lease_token or "") for job in map(Job.of, rows)]


def reap(tx: Connection, lease: Lease, backoff_s: float = 0.0) -> Job | None:
    """End the attempt of a worker that is presumed dead; None if the job moved on meanwhile."""
    error = f"worker {lease.job.worker} was lost: its lease ran out"
    job = _change(
        tx,
        and_(_ours(lease), JobRow.lease_expires_at < now()),
        **_after_failure(lease.job, error, False, backoff_s),
    )
    if job is None:
        return None
    _end_attempt(tx, job, Outcome.LOST, error)
    return _settle(tx, job)


def _ours(lease: Lease) -> ColumnElement[bool]:
    return and_(
        JobRow.id == lease.job.id,
        JobRow.state == State.RUNNING,
        JobRow.lease_token == lease.token,
    )


def _change(tx: Connection, where: ColumnElement[bool], **values: Any) -> Job | None:
    """The one statement by which a job changes; None if no row was as `where` says."""
    row = (
        tx.execute(update(JobRow).where(where).values(**values).returning(*job_columns))
        .mappings()
        .first()
    )
    return Job.of(row) if row else None


def _change_ours(tx: Connection, lease: Lease, **values: Any) -> Job:
    job = _change(tx, _ours(lease), **values)
    if job is None:
        raise LeaseLost(f"job {lease.job.id} is no longer ours: its lease was taken")
    return job


def _after_failure(job: Job, error: str, permanent: bool, backoff_s: float) -> dict[str, Any]:
    """The values of a job after an attempt that failed: queued again, or failed for good."""
    counted = job.attempt - job.free_attempts
    if permanent or counted >= job.max_attempts:
        return {"state": State.FAILED, "ended_at": now(), "error": error, **_NO_LEASE}
    wait_s = backoff_s * 2 ** (counted - 1)
    return _TO_QUEUE | {"not_before": now(wait_s) if wait_s else None, "error": error}


def _end_attempt(
    tx: Connection, job: Job, outcome: Outcome, error: str | None = None, trace: str | None = None
) -> None:
    tx.execute(
        update(AttemptRow)
        .where(AttemptRow.job_id == job.id, AttemptRow.attempt == job.attempt)
        .values(outcome=outcome, ended_at=now(), error=error, traceback=trace)
    )


def _settle(tx: Connection, job: Job) -> Job:
    """What follows from a job that left its worker without success."""
    if job.cancel_requested and job.state in (State.QUEUED, State.WAITING):
        # Nobody is left to be told: the wish is carried out here.
        return cancel(tx, job.id)
    if job.parent_id is not None and job.over:
        # A parent whose child did not succeed cannot succeed.
        why = f": {job.error}" if job.error else ""
        _change(
            tx,
            and_(JobRow.id == job.parent_id, JobRow.state == State.WAITING),
            state=State.FAILED,
            ended_at=now(),
            error=f"its job {job.id} ({job.label}) ended as {job.state}{why}",
        )
    return job


def _count_down(tx: Connection, child: Job) -> None:
    """Tell the parent that one child less is to be waited for; after the last, it is queued."""
    if child.parent_id is None:
        return
    parent = _change(
        tx,
        and_(JobRow.id == child.parent_id, JobRow.state == State.WAITING),
        children_left=JobRow.children_left - 1,
    )
    if parent and parent.children_left == 0:
        _change(tx, JobRow.id == parent.id, **_TO_QUEUE)

"""Look at jobs, cancel them, ask for them again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from db import job_records
from db import jobs as protocol
from db.dialect import reading
from db.errors import Unreachable
from db.job_records import Attempt, Job, OutputFile
from db.settings import settings
from db.states import State
from producer.enqueue import database


@dataclass(frozen=True, slots=True)
class JobDetails:
    """A job with all that belongs to it."""

    job: Job
    attempts: list[Attempt]
    children: list[Job]
    files: list[OutputFile]


def jobs(
    *,
    states: Sequence[State | str] = (),
    kinds: Sequence[str] = (),
    ids: Sequence[int] = (),
    limit: int | None = None,
) -> list[Job]:
    """Jobs, the newest first; an empty filter lets every job through."""
    with reading(database()) as tx:
        return job_records.listing(
            tx, states=[State(state) for state in states], kinds=kinds, ids=ids, limit=limit
        )


def job(job_id: int) -> JobDetails:
    """One job with its attempts, children and files.

    Raises:
        UsageError: there is no such job.
    """
    with reading(database()) as tx:
        return JobDetails(
            job_records.get(tx, job_id),
            job_records.attempts(tx, job_id),
            job_records.family(tx, job_id),
            job_records.output_files(tx, job_id),
        )


def cancel(job_id: int) -> Job:
    """Cancel a job: at once if no worker has it, else at its next checkpoint.

    Raises:
        UsageError: there is no such job, or it is over already.
    """
    found = database()
    with found.begin() as tx:
        told = protocol.cancel(tx, job_id)
    with found.begin() as tx:
        protocol.cancel_abandoned(tx)
    return told


def retry(job_id: int) -> Job:
    """Queue a failed or cancelled job again, with a full number of attempts.

    Raises:
        UsageError: there is no such job, or it cannot be retried; the message says why.
    """
    from db import queue  # Celery takes half a second to load, and most commands only look

    found = database()
    with found.begin() as tx:
        queued = protocol.retry(tx, job_id)
    with suppress(Unreachable):  # it is recorded; the reconciler rings when the broker is back
        queue.ring_due(found, settings())
    return queued

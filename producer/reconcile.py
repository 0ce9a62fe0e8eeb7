"""The reaper's loop: whatever died is queued again, whatever waits too long is rung for again.

Any number may run at once: each change is a compare-and-swap on the lease token that was read.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from db import jobs, logs, queue
from db.errors import Unreachable
from db.job_records import Job
from db.layout import attempt_address
from db.settings import Settings
from db.storage import storage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What one pass did."""

    reaped: list[Job]
    rung: list[Job]


def reconcile_once(engine: Engine, config: Settings) -> Reconciled:
    """One pass.

    Raises:
        Unreachable: the broker does not answer; what was reaped stays so.
    """
    with engine.begin() as tx:
        expired = jobs.expired(tx)
    reaped = []
    for lease in expired:
        with engine.begin() as tx:
            job = jobs.reap(tx, lease, config.retry_backoff_s)
        if job is not None:
            reaped.append(job)
            with logs.about(job=job.id, attempt=job.attempt):
                log.warning("job %d: %s (now %s)", job.id, job.error, job.state)
            # At once, and not with the next attempt: a job that is cancelled before it has none.
            storage(config).remove(attempt_address(job.id, job.attempt))
    with engine.begin() as tx:
        jobs.cancel_abandoned(tx)
    rung = queue.ring_due(engine, config)
    return Reconciled(reaped, rung)


def reconcile(engine: Engine, config: Settings, stop: threading.Event) -> None:
    """Pass after pass until told to stop; a database or broker that is away is waited for."""
    while not stop.is_set():
        try:
            reconcile_once(engine, config)
        except (Unreachable, DBAPIError) as error:
            log.warning("will try again: %s", error)
        stop.wait(config.reconcile_s)

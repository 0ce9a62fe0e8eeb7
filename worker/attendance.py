"""Watching a job while it runs and its files move: its lease, its clocks, and who stops it."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from pydantic import ValidationError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from db import jobs
from db.errors import LeaseLost, PermanentError
from db.job_records import Progress
from db.jobs import Lease
from db.layout import attempt_address
from db.results import Result
from db.settings import Settings
from db.specs import TrainSpec
from db.storage import Moving, Storage
from db.training_results import EpochRecord, epochs_so_far
from worker.runner_process import RunnerDied, RunnerProcess
from worker.training.checkpoints import Keeping, fetch_checkpoints, resume_from
from worker.transfer import Transfer, discard, fetch, publish
from worker.wire import Advanced, Broke, Done, EpochEnded, Halted, Run, Stop

log = logging.getLogger(__name__)

# How long to wait for the runner's next word before looking at the clocks.
_LISTEN_S = 0.2
_WEIGH_EVERY_S = 2.0
_RETRY_S = 1.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job stopped because somebody wanted it cancelled."""


@dataclass(frozen=True, slots=True)
class HandedBack:
    """The job stopped because its worker was told to."""


End = Done | Broke | Cancelled | HandedBack


class Attendance:
    """One attempt at one job, from handing it to the runner to its end.

    Attributes:
        runner: that runs the job.
        told: the last progress that the job told.
        lease_ends: when the lease ends unless it is renewed, by `time.monotonic`.
    """

    def __init__(
        self,
        engine: Engine,
        config: Settings,
        lease: Lease,
        runner: RunnerProcess,
        stopping: threading.Event,
        storage: Storage,
    ) -> None:
        self.runner = runner
        self._engine = engine
        self._config = config
        self._lease = lease
        self._stopping = stopping
        self._storage = storage
        moment = time.monotonic()
        self.lease_ends = moment + config.lease_s
        self._deadline = moment + config.deadline_s
        self._beat_at = moment
        self._weighed_at = moment
        self._advanced_at = moment
        self.told: Progress | None = None
        self._unwritten: Progress | None = None
        self._cancel_wanted = False
        self._told_to_stop_at: float | None = None
        self._epochs: list[EpochRecord] = []

    def wait(self) -> End:
        """Bring the job's files here, hand it to the runner and wait for its end.

        A runner that outruns a clock, grows too large or ignores a request to stop is killed.

        Raises:
            LeaseLost: the lease was taken, or could not be renewed before it ended.
        """
        try:
            if end := self._fetch():
                return end
            self._hand_over()
            while True:
                message = self.runner.receive(_LISTEN_S)
                match message:
                    case Done() | Broke():
                        return message
                    case Halted():
                        return self._stopped()
                    case Advanced():
                        self._advanced_at = time.monotonic()
                        self.told = self._unwritten = Progress(
                            message.done, message.total, message.unit, message.note
                        )
                    case EpochEnded():
                        if end := self._keep(message):
                            self.runner.kill()
                            return end
                self._renew()
                self._pass_on_stop()
                if end := self._overdue(time.monotonic()):
                    self.runner.kill()
                    return end
        except ValidationError as error:
            # Rows can be edited by hand: what is no valid spec will not become one.
            return Broke(
                error=f"the spec is not valid: {error.errors(include_url=False)[0]['msg']}",
                traceback=str(error),
                permanent=True,
            )
        except RunnerDied as died:
            return Broke(error=str(died), traceback=died.last_words or None)

    def persist(self, write: Callable[[Connection], T]) -> T:
        """Write in one transaction; while the database is away, try again until the lease ends.

        Raises:
            LeaseLost: it did not answer until then.
        """
        while True:
            try:
                with self._engine.begin() as tx:
                    return write(tx)
            except OperationalError as error:
                if time.monotonic() > self.lease_ends:
                    raise LeaseLost("the database did not answer until the lease ended") from error
                log.warning("the database does not answer, trying again: %s", error.orig)
                time.sleep(_RETRY_S)

    def publish(self, result: Result) -> End | None:
        """Keep the files of a job that succeeded; returns its end if they cannot be kept.

        Raises:
            LeaseLost: the lease was taken, or could not be renewed before it ended.
        """
        job, device = self._lease.job, self._config.device
        publishing = partial(publish, self._storage, job, result, device)
        return self._accompany(Transfer(publishing), "publishing", finishing=True)

    def discard(self) -> None:
        """Remove what the attempt has left: no row will point to it.

        Raises:
            LeaseLost: the lease was taken, or could not be renewed before it ended.
        """
        removing = partial(discard, self._storage, self._lease.job)
        self._accompany(Transfer(removing), "removing", finishing=True)

    def _fetch(self) -> End | None:
        job, home = self._lease.job, self._config.home
        spec = job.parsed_spec
        if isinstance(spec, TrainSpec):
            self._epochs = self.persist(lambda tx: epochs_so_far(tx, job.id))

        def move(moving: Moving) -> None:
            fetch(self._storage, job, spec, self._config.device, moving)
            if isinstance(spec, TrainSpec):
                fetch_checkpoints(self._storage, home, job, self._epochs, moving)

        return self._accompany(Transfer(move), "fetching")

    def _keep(self, ended: EpochEnded) -> End | None:
        """Keep an epoch and what can be gone on from; returns the job's end if it cannot be."""
        keeping = Keeping(self._storage, self._config.home, self._lease, ended)
        if end := self._accompany(Transfer(keeping.move), "keeping", under_way=True):
            return end
        self.persist(lambda tx: keeping.write(tx, self._config.lease_s))
        # What is kept is not done again: the deadline is against an attempt that comes to nothing.
        self._deadline = time.monotonic() + self._config.deadline_s
        return self._accompany(Transfer(keeping.clear), "removing", under_way=True)

    def _accompany(
        self, transfer: Transfer, what: str, finishing: bool = False, under_way: bool = False
    ) -> End | None:
        """Keep the lease while files move; returns the job's end if it ends with that.

        Args:
            transfer: the move, under way.
            what: what it does, for the progress and an error.
            finishing: the work is done: a worker that is told to stop may still keep it, within
                its grace.
            under_way: the runner works on meanwhile, and is told to stop like at any other time.
        """
        moved = 0
        while not transfer.wait(_LISTEN_S):
            moment = time.monotonic()
            if transfer.moved > moved:
                moved = transfer.moved
                self._advanced_at = moment
                if not under_way:
                    self._unwritten = Progress(moved, None, "bytes", what)
            self._renew()
            end = self._overdue(moment)
            if under_way:
                self._pass_on_stop()
            elif self._cancel_wanted or self._stopping.is_set():
                self._told_to_stop_at = self._told_to_stop_at or moment
                if self._cancel_wanted or not finishing:
                    end = self._stopped()
            if end:
                transfer.give_up()
                return end
        self._advanced_at = time.monotonic()
        if (error := transfer.error) is None:
            return None
        return Broke(
            error=f"{what} its files: {error}",
            traceback="".join(traceback.format_exception(error)),
            permanent=isinstance(error, PermanentError),
        )

    def _hand_over(self) -> None:
        job = self._lease.job
        self.runner.jobs_run += 1
        self.runner.send(
            Run(
                job_id=job.id,
                attempt=job.attempt,
                spec=job.parsed_spec,
                home=str(self._config.home),
                folder=str(self._config.home / attempt_address(job.id, job.attempt)),
                roots=tuple(map(str, self._config.root_paths)),
                segment_s=self._config.segment_s,
                resume=resume_from(self._config.home, self._epochs),
            )
        )

    def _renew(self) -> None:
        """Renew the lease, and write progress, if it is time to."""
        moment = time.monotonic()
        every_s = self._config.heartbeat_s
        if self._unwritten is not None:
            every_s = min(every_s, self._config.progress_s)
        if moment - self._beat_at < every_s:
            return
        try:
            with self._engine.begin() as tx:
                wish = jobs.heartbeat(tx, self._lease, self._config.lease_s, self._unwritten)
        except OperationalError as error:
            if moment > self.lease_ends:
                raise LeaseLost("the lease could not be renewed before it ended") from error
            log.warning("the lease could not be renewed, trying again: %s", error.orig)
            # Not at once: a refused connection answers in no time.
            self._beat_at = moment - every_s + self._config.progress_s
            return
        self._cancel_wanted = wish
        self._unwritten = None
        self._beat_at = moment
        self.lease_ends = moment + self._config.lease_s

    def _pass_on_stop(self) -> None:
        if self._told_to_stop_at is None and (self._cancel_wanted or self._stopping.is_set()):
            self._told_to_stop_at = time.monotonic()
            self.runner.send(Stop())

    def _overdue(self, moment: float) -> End | None:
        """The end of a job whose runner must be killed now."""
        config = self._config
        if (
            self._told_to_stop_at is not None
            and moment - self._told_to_stop_at > config.stop_grace_s
        ):
            log.warning("job %d did not stop in time: killing its runner", self._lease.job.id)
            return self._stopped()
        if moment > self._deadline:
            return Broke(error=f"the job ran longer than its deadline of {config.deadline_s:g} s")
        if moment - self._advanced_at > config.stall_timeout_s:
            return Broke(error=f"the job made no progress for {config.stall_timeout_s:g} s")
        if moment - self._weighed_at > _WEIGH_EVERY_S:
            self._weighed_at = moment
            most = config.runner_memory_mb
            if self.runner.memory_mb > most and (used := self.runner.unshared_memory_mb) > most:
                return Broke(
                    error=f"the runner used {used:.0f} MiB of memory, more than the limit of "
                    f"{most} MiB (NIGHTSHELF_RUNNER_MEMORY_MB)"
                )
        return None

    def _stopped(self) -> Cancelled | HandedBack:
        return Cancelled() if self._cancel_wanted else HandedBack()

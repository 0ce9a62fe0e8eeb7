"""The one place that runs a job: claim it, have the runner run it, record what came of it."""

from __future__ import annotations

import logging
import threading
import traceback

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from db import job_records, jobs, logs, queue, results
from db.dialect import reading
from db.errors import LeaseLost, NightshelfError, PermanentError, Unreachable
from db.job_records import Job, Progress
from db.jobs import Claimant, Lease
from db.layout import attempt_address, checkpoints_address
from db.settings import Settings
from db.states import Outcome
from db.storage import storage
from db.training_results import TrainResult
from worker.attendance import Attendance, Cancelled, End, HandedBack
from worker.runner_process import RunnerProcess
from worker.wire import Broke, Done

log = logging.getLogger(__name__)


class JobFailed(NightshelfError):
    """The attempt at the job failed; the reason is recorded. Raised for Flower to show."""


class Execution:
    """Runs jobs for one worker process, one at a time."""

    def __init__(self, engine: Engine, config: Settings, claimant: Claimant) -> None:
        self._engine = engine
        self._config = config
        self._claimant = claimant
        self._storage = storage(config)
        self._runner: RunnerProcess | None = None
        self.stopping = threading.Event()

    def run(self, job_id: int) -> bool:
        """Run a job, if it is to be had.

        Returns:
            False if there was nothing to do: somebody else has the job, or it is over.

        Raises:
            JobFailed: the attempt failed, and that is recorded.
        """
        if self.stopping.is_set():
            return False
        with self._engine.begin() as tx:
            lease = jobs.claim(tx, job_id, self._claimant, self._config.lease_s)
        if lease is None:
            return False
        with logs.about(job=job_id, attempt=lease.job.attempt):
            return self._attempt(lease)

    def _attempt(self, lease: Lease) -> bool:
        job_id = lease.job.id
        log.info("job %d: attempt %d begins: %s", job_id, lease.job.attempt, lease.job.label)
        attendance = Attendance(
            self._engine, self._config, lease, self._fit_runner(), self.stopping, self._storage
        )
        try:
            return self._record(lease, attendance)
        except LeaseLost as error:
            log.warning("job %d: %s", job_id, error)
            attendance.runner.kill()
            if not self._may_be_recorded(lease):
                self._storage.remove(attempt_address(job_id, lease.job.attempt))
            return False
        finally:
            self._retire_runner(lease.job)
            self._ring_next()

    def _record(self, lease: Lease, attendance: Attendance) -> bool:
        """Wait for the job to end and write how it did, in one transaction each."""
        end = attendance.wait()
        if isinstance(end, Done):
            end = self._finish(lease, attendance, end)
        if isinstance(end, Done):
            if isinstance(end.result, results.Split):
                log.info("job %d: waits for %d segments", lease.job.id, len(end.result.children))
            else:
                log.info("job %d: succeeded", lease.job.id)
            self._storage.release(attempt_address(lease.job.id, lease.job.attempt))
            if isinstance(end.result, TrainResult):
                self._storage.remove(checkpoints_address(lease.job.id))
            return True
        attendance.discard()
        match end:
            case Cancelled():
                attendance.persist(lambda tx: jobs.end_cancelled(tx, lease))
                log.info("job %d: cancelled", lease.job.id)
                return True
            case HandedBack():
                attendance.persist(lambda tx: jobs.hand_back(tx, lease))
                log.info("job %d: handed back", lease.job.id)
                return True
            case Broke() as broke:
                job = attendance.persist(
                    lambda tx: jobs.fail(
                        tx,
                        lease,
                        broke.error,
                        broke.traceback,
                        permanent=broke.permanent,
                        backoff_s=self._config.retry_backoff_s,
                    ),
                )
                log.error("job %d: attempt failed (now %s): %s", job.id, job.state, broke.error)
                raise JobFailed(broke.error)

    def _finish(self, lease: Lease, attendance: Attendance, done: Done) -> End:
        if isinstance(done.result, results.Split):
            attendance.discard()
        elif end := attendance.publish(done.result):
            return end

        def write(tx: Connection) -> None:
            if isinstance(done.result, results.Split):
                progress = Progress(0, done.result.total, done.result.unit, "in segments")
                jobs.split(tx, lease, done.result.children, progress)
            else:
                jobs.finish(tx, lease, attendance.told)
                results.write(tx, lease.job, done.result)

        try:
            attendance.persist(write)
        except LeaseLost:
            raise
        except Exception as error:
            # What was found cannot be written: that is a failure of the attempt like any other.
            return Broke(
                error=f"the results could not be written: {error}",
                traceback=traceback.format_exc(),
                permanent=isinstance(error, PermanentError),
            )
        return done

    def _fit_runner(self) -> RunnerProcess:
        if self._runner is None or not self._runner.alive:
            self.close()
            self._runner = RunnerProcess(self._config.device, self._config.home)
        return self._runner

    def _retire_runner(self, job: Job) -> None:
        """Replace a runner that died, has trained, has run many jobs, or has grown."""
        runner = self._runner
        if runner is not None and (
            not runner.alive
            or job.kind == "train"  # which leaves PyTorch set up for it
            or runner.jobs_run >= self._config.runner_max_jobs
            or runner.memory_mb > self._config.runner_memory_mb / 2
        ):
            self.close()

    def close(self) -> None:
        """End the runner."""
        if self._runner is not None:
            self._runner.kill()
            self._runner = None

    def _ring_next(self) -> None:
        try:
            queue.ring_due(self._engine, self._config)
        except (Unreachable, DBAPIError) as error:
            log.warning("the next job was not rung for; the reconciler will: %s", error)

    def _may_be_recorded(self, lease: Lease) -> bool:
        """Whether rows point to the attempt's files: the answer to a commit can get lost."""
        try:
            with reading(self._engine) as tx:
                attempts = job_records.attempts(tx, lease.job.id)
        except DBAPIError:
            return True  # what was not recorded is removed by the next attempt, or the reaper
        return any(
            one.attempt == lease.job.attempt and one.outcome == Outcome.SUCCEEDED
            for one in attempts
        )

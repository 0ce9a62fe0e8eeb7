"""The clocks of a running job, with a runner that does as it is told by the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import cast

import pytest
from sqlalchemy import Engine, text, update

from db import job_creation, job_records, jobs
from db.dialect import now
from db.errors import LeaseLost
from db.job_records import Job
from db.jobs import Claimant, Lease
from db.layout import attempt_address
from db.results import RegisterResult
from db.settings import Settings
from db.specs import RegisterSpec
from db.states import State
from db.storage import HomeFolder, Moving, Storage, silent, storage
from db.tables import JobRow
from tests.recorded import claimed, epoch_facts, register_model, train_spec
from worker.attendance import Attendance, Cancelled, HandedBack
from worker.runner_process import RunnerProcess
from worker.wire import Advanced, Broke, Done, EpochEnded, FromRunner, Halted, Run, Stop, ToRunner

Says = Callable[["DoubleRunner"], FromRunner | None]


class DoubleRunner:
    """A runner without a process: what it says next is up to the test."""

    def __init__(self, says: Says) -> None:
        self._says = says
        self.heard: list[ToRunner] = []
        self.killed = False
        self.jobs_run = 0
        self.memory_mb = self.unshared_memory_mb = 100.0

    @property
    def told_to_stop(self) -> bool:
        return any(isinstance(message, Stop) for message in self.heard)

    def send(self, message: ToRunner) -> None:
        self.heard.append(message)

    def receive(self, timeout_s: float) -> FromRunner | None:
        time.sleep(0.01)
        return self._says(self)

    def kill(self) -> None:
        self.killed = True


def silence(runner: DoubleRunner) -> None:
    """Hang without a word."""


def obedience(runner: DoubleRunner) -> FromRunner:
    """Work until told to stop."""
    return Halted() if runner.told_to_stop else Advanced(done=1, total=2, unit="frames")


def deafness(runner: DoubleRunner) -> FromRunner:
    """Work on whatever is asked."""
    return Advanced(done=1, total=2, unit="frames")


@pytest.fixture
def lease(database: Engine) -> Lease:
    spec = RegisterSpec(name="a", weights="/w.pt", weights_sha256="a" * 64)
    with database.begin() as tx:
        job, _ = job_creation.create(tx, spec, max_attempts=3)
        lease = jobs.claim(tx, job.id, Claimant("w", "h", "cpu"), 60)
    assert lease
    return lease


def attend(
    database: Engine,
    lease: Lease,
    runner: DoubleRunner,
    stopping: threading.Event | None = None,
    kept: Storage | None = None,
    home: Path = Path("/nowhere"),
    **settings: float,
) -> Attendance:
    quick = {"lease_s": 2.0, "heartbeat_s": 0.1, "progress_s": 0.05, **settings}
    config = Settings(home=home, **quick)  # type: ignore[arg-type]
    return Attendance(
        database,
        config,
        lease,
        cast(RunnerProcess, runner),
        stopping or threading.Event(),
        kept or storage(config),
    )


def current(database: Engine, lease: Lease) -> Job:
    with database.begin() as tx:
        return job_records.get(tx, lease.job.id)


def test_the_job_is_handed_over_and_its_end_returned(database: Engine, lease: Lease) -> None:
    broke = Broke(error="no")
    runner = DoubleRunner(lambda _: broke)
    assert attend(database, lease, runner).wait() is broke
    [run] = runner.heard
    assert isinstance(run, Run)
    assert (run.job_id, run.attempt) == (lease.job.id, 1)
    assert run.folder == f"/nowhere/jobs/{lease.job.id}/attempt-1"
    assert not runner.killed


def test_progress_is_written_while_the_job_runs(database: Engine, lease: Lease) -> None:
    seen: list[float] = []

    def says(runner: DoubleRunner) -> FromRunner:
        seen.append(current(database, lease).progress_done)
        return Broke(error="end") if seen[-1] else Advanced(done=7, total=9, unit="frames")

    attend(database, lease, DoubleRunner(says)).wait()
    assert seen[-1] == 7
    assert current(database, lease).progress_total == 9


def test_a_lease_is_renewed_while_the_runner_is_silent(database: Engine, lease: Lease) -> None:
    started = current(database, lease).lease_expires_at
    attend(database, lease, DoubleRunner(silence), stall_timeout_s=0.5, lease_s=90).wait()
    renewed = current(database, lease).lease_expires_at
    assert started is not None
    assert renewed is not None
    assert renewed > started


@pytest.mark.parametrize(
    ("settings", "says", "reason"),
    [
        ({"stall_timeout_s": 0.3}, silence, "made no progress for 0.3 s"),
        ({"deadline_s": 0.3}, deafness, "ran longer than its deadline of 0.3 s"),
    ],
)
def test_a_job_that_outruns_a_clock_is_killed(
    database: Engine, lease: Lease, settings: dict[str, float], says: Says, reason: str
) -> None:
    runner = DoubleRunner(says)
    end = attend(database, lease, runner, **settings).wait()
    assert isinstance(end, Broke)
    assert reason in end.error
    assert not end.permanent
    assert runner.killed


def test_each_epoch_of_a_training_has_the_deadline_anew(database: Engine, tmp_path: Path) -> None:
    asked = train_spec(register_model(database, "products", ["apple"]))
    with database.begin() as tx:
        lease = claimed(tx, asked)
    folder = tmp_path / attempt_address(lease.job.id, 1)
    folder.mkdir(parents=True)
    epochs = iter(range(1, 5))

    def says(runner: DoubleRunner) -> FromRunner:
        time.sleep(0.6)
        number = next(epochs, None)
        if number is None:
            return Broke(error="end")
        (folder / f"epoch-{number}.pt").write_text("weights")
        return EpochEnded(epoch=epoch_facts(number), checkpoint=f"epoch-{number}.pt")

    end = attend(database, lease, DoubleRunner(says), home=tmp_path, deadline_s=2.0).wait()
    assert end == Broke(error="end")


def test_a_runner_that_outgrows_its_memory_is_killed(database: Engine, lease: Lease) -> None:
    runner = DoubleRunner(deafness)
    runner.memory_mb = runner.unshared_memory_mb = 600.0
    end = attend(database, lease, runner, runner_memory_mb=512).wait()
    assert isinstance(end, Broke)
    assert "used 600 MiB of memory, more than the limit of 512 MiB" in end.error
    assert runner.killed


@pytest.mark.parametrize("says", [obedience, deafness])
def test_a_worker_that_stops_hands_the_job_back_whether_the_runner_obeys_or_not(
    database: Engine, lease: Lease, says: Says
) -> None:
    runner = DoubleRunner(says)
    stopping = threading.Event()
    stopping.set()
    end = attend(database, lease, runner, stopping, stop_grace_s=0.3).wait()
    assert isinstance(end, HandedBack)
    assert runner.killed is (says is deafness)


@pytest.mark.parametrize("says", [obedience, deafness])
def test_a_job_that_is_cancelled_ends_whether_the_runner_obeys_or_not(
    database: Engine, lease: Lease, says: Says
) -> None:
    with database.begin() as tx:
        jobs.cancel(tx, lease.job.id)
    runner = DoubleRunner(says)
    assert isinstance(attend(database, lease, runner, stop_grace_s=0.3).wait(), Cancelled)
    assert runner.killed is (says is deafness)


def test_a_job_that_ends_before_it_heard_of_the_stop_has_ended(
    database: Engine, lease: Lease
) -> None:
    stopping = threading.Event()
    stopping.set()

    def says(runner: DoubleRunner) -> FromRunner | None:
        return Broke(error="done anyway") if runner.told_to_stop else None

    end = attend(database, lease, DoubleRunner(says), stopping).wait()
    assert isinstance(end, Broke)


def test_a_lease_that_was_taken_ends_the_job_there(database: Engine, lease: Lease) -> None:
    with database.begin() as tx:
        tx.execute(update(JobRow).values(lease_expires_at=now(-1)))
        [read] = jobs.expired(tx)
        jobs.reap(tx, read)
    with pytest.raises(LeaseLost, match="no longer ours"):
        attend(database, lease, DoubleRunner(deafness)).wait()
    assert current(database, lease).state is State.QUEUED


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_is_away_is_asked_again_until_the_lease_has_ended(
    database: Engine, lease: Lease
) -> None:
    with database.begin() as tx:
        tx.execute(text("ALTER TABLE jobs RENAME TO away"))
    began = time.monotonic()
    with pytest.raises(LeaseLost, match="could not be renewed"):
        attend(database, lease, DoubleRunner(deafness), lease_s=0.6).wait()
    assert time.monotonic() - began > 0.6, "it did not give up at the first refusal"


def test_a_spec_that_was_edited_to_something_invalid_fails_the_job_for_good(
    database: Engine, lease: Lease
) -> None:
    lease.job.spec["name"] = "../../etc"
    end = attend(database, lease, DoubleRunner(silence)).wait()
    assert isinstance(end, Broke)
    assert end.permanent
    assert "spec is not valid" in end.error


def test_a_result_is_passed_on_as_it_is(database: Engine, lease: Lease) -> None:
    done = Done.model_validate(
        {
            "result": {
                "kind": "register",
                "task": "detect",
                "architecture": "yolov8n",
                "class_names": ["a"],
                "parameters": 1,
                "size_bytes": 1,
            }
        }
    )
    assert attend(database, lease, DoubleRunner(lambda _: done)).wait() is done


class SlowFolder(HomeFolder):
    """Keeps files where they lie, and takes its time, a byte each hundredth of a second."""

    def __init__(self, steps: int, moves: bool = True) -> None:
        super().__init__(Path("/nowhere"))
        self.steps, self.moves, self.taken = steps, moves, 0

    def publish_file(self, address: PurePosixPath, moving: Moving = silent) -> None:
        for _ in range(self.steps):
            time.sleep(0.01)
            self.taken += 1
            if self.moves:
                moving(1)


REGISTERED = RegisterResult(
    task="detect", architecture="yolov8n", class_names=("apple",), parameters=1, size_bytes=1
)


def test_a_lease_is_renewed_while_files_move(database: Engine, lease: Lease) -> None:
    started = current(database, lease).lease_expires_at
    kept = SlowFolder(60)
    ended = attend(database, lease, DoubleRunner(silence), kept=kept, lease_s=90)
    assert ended.publish(REGISTERED) is None
    found = current(database, lease)
    assert started is not None
    assert found.lease_expires_at is not None
    assert found.lease_expires_at > started
    assert (found.progress_note, found.progress_unit) == ("publishing", "bytes")
    assert 0 < found.progress_done <= kept.taken == 60


def test_a_job_that_is_cancelled_while_its_files_move_ends_there(
    database: Engine, lease: Lease
) -> None:
    with database.begin() as tx:
        jobs.cancel(tx, lease.job.id)
    kept = SlowFolder(1000)
    attendance = attend(database, lease, DoubleRunner(silence), kept=kept)
    assert attendance.publish(REGISTERED) == Cancelled()
    assert kept.taken < 1000


def test_a_worker_that_is_told_to_stop_still_keeps_what_is_done(
    database: Engine, lease: Lease
) -> None:
    stopping = threading.Event()
    stopping.set()
    attendance = attend(database, lease, DoubleRunner(silence), stopping, SlowFolder(60))
    assert attendance.publish(REGISTERED) is None
    attendance = attend(
        database, lease, DoubleRunner(silence), stopping, SlowFolder(1000), stop_grace_s=0.2
    )
    assert attendance.publish(REGISTERED) == HandedBack(), "its grace is over"


def test_a_move_that_makes_no_progress_is_given_up(database: Engine, lease: Lease) -> None:
    attendance = attend(
        database, lease, DoubleRunner(silence), kept=SlowFolder(1000, False), stall_timeout_s=0.3
    )
    end = attendance.publish(REGISTERED)
    assert isinstance(end, Broke)
    assert end.error == "the job made no progress for 0.3 s"

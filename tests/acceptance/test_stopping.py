"""Whoever asks for a stop gets it: one that is kind to the job first, one at once then."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from db import job_records, schema
from db.dialect import engine, reading
from db.job_records import Job
from db.states import State
from tests.deployment import Deployment, deployment
from tests.injected import simulated_jobs, work
from tests.recorded import register_model

pytestmark = pytest.mark.slow


def segments(made: Deployment, job: int) -> list[Job]:
    with reading(made.database) as tx:
        return job_records.family(tx, job)


def said(made: Deployment, name: str = "log") -> str:
    return (made.home / name).read_text()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_split_job_that_is_handed_back_goes_on_after_its_last_finished_segment(
    simulated: Deployment,
) -> None:
    simulated.start("reconcile")
    supervisor = simulated.start("worker")
    job = simulated.enqueue(work(simulated.home, "long", segments=4, seconds=3))
    simulated.until(lambda: len(segments(simulated, job)) == 4)
    first, second, *others = (one.id for one in segments(simulated, job))
    simulated.until(lambda: simulated.job(first).over)
    simulated.until(lambda: simulated.job(second).progress_done > 0)
    supervisor.send_signal(signal.SIGTERM)
    simulated.until(lambda: simulated.job(second).state is not State.RUNNING, 10)
    supervisor.wait(30)
    assert simulated.outcomes(second) == ["handed back"]
    assert simulated.job(second).free_attempts == 1
    assert [simulated.job(one).state for one in (job, second)] == [State.WAITING, State.QUEUED]

    simulated.start("worker")
    simulated.until_over(job)
    assert simulated.outcomes(job) == ["split", "succeeded"]
    assert simulated.outcomes(first) == ["succeeded"]
    assert simulated.outcomes(second) == ["handed back", "succeeded"]
    assert [simulated.outcomes(one) for one in others] == [["succeeded"]] * 2


def assert_a_second_signal_is_obeyed_at_once(
    made: Deployment, process: psutil.Popen, number: signal.Signals, log: str
) -> None:
    """Have a job run that does not listen, and stop the process twice."""
    deaf = made.enqueue(work(made.home, "deaf", then="deaf", seconds=600, child=True))
    made.until_under_way(deaf, 1)
    process.send_signal(number)
    made.until(lambda: "Warm shutdown" in said(made, log))
    assert process.is_running()
    process.send_signal(number)
    process.wait(30)  # the grace of the job is longer
    assert "killing what has not stopped" in said(made, log)
    made.assert_nothing_left()
    assert made.job(deaf).state is State.RUNNING, "nobody was left to hand it back"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_to_the_worker_is_obeyed_at_once(
    simulated: Deployment, number: signal.Signals
) -> None:
    simulated.environment["NIGHTSHELF_STOP_GRACE_S"] = "300"
    worker = simulated.start("worker")
    assert_a_second_signal_is_obeyed_at_once(simulated, worker, number, "log")


def test_a_second_ctrl_c_to_up_is_obeyed_at_once(home: Path) -> None:
    database = f"sqlite:///{home}/nightshelf.db"
    schema.upgrade(engine(database))
    register_model(engine(database), "products", ["apple"], home)
    embedded = {"NIGHTSHELF_DATABASE_URL": "", "NIGHTSHELF_STOP_GRACE_S": "300"}
    with deployment(home, database, "", **embedded, **simulated_jobs()) as made:
        up = made.start("up", "--no-flower")
        made.until(lambda: "Nightshelf is up" in said(made), 30)
        assert_a_second_signal_is_obeyed_at_once(made, up, signal.SIGINT, "up.log")


@pytest.fixture
def elsewhere(simulated: Deployment) -> Iterator[Deployment]:
    """Another machine: it shares nothing with the deployment but its database."""
    url = simulated.environment["NIGHTSHELF_DATABASE_URL"]
    with tempfile.TemporaryDirectory(prefix="ns-") as name:
        nowhere = f"redis+socket://{name}/no.sock"
        with deployment(Path(name), url, nowhere) as made:
            yield made


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_jobs_are_cancelled_from_a_machine_that_has_nothing_but_the_database(
    simulated: Deployment, elsewhere: Deployment
) -> None:
    home = simulated.home
    simulated.start("worker")
    simulated.start("reconcile")
    running = simulated.enqueue(work(home, "running", seconds=600))
    queued = simulated.enqueue(work(home, "queued"))
    simulated.until_under_way(running, 1)
    elsewhere.cli("jobs", "cancel", str(queued))
    assert simulated.job(queued).state is State.CANCELLED
    elsewhere.cli("jobs", "cancel", str(running))
    simulated.until_over(running)
    assert [simulated.outcomes(one) for one in (running, queued)] == [["cancelled"], []]
    last = simulated.enqueue(work(home, "last"))
    simulated.until_over(last)
    assert simulated.job(last).state is State.SUCCEEDED
    assert [path.name for path in (home / "jobs").iterdir()] == [str(last)], "no half result"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("cancelled", "end"), [("parent", "cancelled"), ("running", "failed"), ("queued", "failed")]
)
def test_a_split_job_ends_with_all_of_its_segments_whichever_of_them_is_cancelled(
    simulated: Deployment, elsewhere: Deployment, cancelled: str, end: str
) -> None:
    simulated.start("worker")
    simulated.start("reconcile")
    job = simulated.enqueue(work(simulated.home, "long", segments=3, seconds=600))
    simulated.until(lambda: len(segments(simulated, job)) == 3)
    running, queued, _ = family = [one.id for one in segments(simulated, job)]
    simulated.until_under_way(running, 1)
    assert simulated.job(job).state is State.WAITING
    chosen = {"parent": job, "running": running, "queued": queued}[cancelled]
    elsewhere.cli("jobs", "cancel", str(chosen))
    simulated.until_over(job, *family)
    assert simulated.job(job).state == end
    assert {simulated.job(one).state for one in family} == {State.CANCELLED}
    if chosen != job:
        assert f"its job {chosen} (" in str(simulated.job(job).error)
    assert simulated.outcomes(running) == ["cancelled"]
    assert not (simulated.home / "jobs" / str(running)).exists(), "no half result"

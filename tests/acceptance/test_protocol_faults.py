"""Messages that come twice or not at all, workers that come back, a database that goes away."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from db import schema
from db.dialect import engine, reading
from db.states import State
from tests import servers
from tests.deployment import REPOSITORY, WEIGHTS, Deployment, deployment
from tests.servers import Valkey

pytestmark = pytest.mark.slow


def enqueue(deployed: Deployment, clip: Path, *options: str) -> int:
    [job] = deployed.cli_json("track", str(clip), "--model", "products", *options)
    return int(job["id"])


def warm(deployed: Deployment, clip: Path) -> None:
    """Have the clip's detections kept, so that the jobs of the test take no time."""
    deployed.until_over(enqueue(deployed, clip, "--hit-counter-max", "99"))


def tracker_jobs(deployed: Deployment, clip: Path, count: int) -> list[int]:
    """Jobs on the same clip, each with options of its own."""
    return [
        enqueue(deployed, clip, "--distance-threshold", f"{0.5 + number / 1000}")
        for number in range(count)
    ]


def result_sets(deployed: Deployment, jobs: list[int]) -> list[int]:
    """How many sets of results each job has: rows of `trackings`."""
    query = text("SELECT COUNT(*) FROM trackings WHERE job_id = :job")
    with reading(deployed.database) as tx:
        return [int(tx.scalar(query, {"job": job}) or 0) for job in jobs]


def send(deployed: Deployment, job: int, times: int) -> None:
    """Put messages for a job on its queue, whatever the protocol thinks of it."""
    program = (
        "from db import queue; from db.dialect import engine, reading;"
        "from db import job_records; from db.settings import settings\n"
        f"with reading(engine(settings().database)) as tx: job = job_records.get(tx, {job})\n"
        f"for _ in range({times}): queue.ring(job)"
    )
    subprocess.run(
        [sys.executable, "-c", program], env=deployed.environment, cwd=REPOSITORY, check=True
    )


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_message_that_comes_five_times_is_obeyed_once(
    deployed: Deployment, broker: Valkey, clip: Path
) -> None:
    job = enqueue(deployed, clip)
    deployed.until_under_way(job)
    deployed.start("worker")
    send(deployed, job, 5)
    deployed.until_over(job)
    with broker.client() as client:
        deployed.until(lambda: client.llen("nightshelf.gpu.normal") == 0, 30)
    assert deployed.outcomes(job) == ["succeeded"]
    assert result_sets(deployed, [job]) == [1]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_worker_that_slept_past_its_lease_changes_nothing_when_it_wakes(
    deployed: Deployment, clip: Path
) -> None:
    job = enqueue(deployed, clip)
    deployed.until_under_way(job)
    [sleeper] = deployed.processes("celery --app worker.tasks")
    runner = deployed.runner()
    sleeper.send_signal(signal.SIGSTOP)
    deployed.start("worker")
    deployed.until_over(job)
    assert deployed.outcomes(job) == ["lost", "succeeded"]
    before = deployed.job(job)
    sleeper.send_signal(signal.SIGCONT)
    deployed.until(lambda: not psutil.pid_exists(runner.pid), 30)
    assert deployed.job(job) == before
    assert result_sets(deployed, [job]) == [1]
    folders = sorted(path.name for path in (deployed.home / "jobs" / str(job)).iterdir())
    assert folders == ["attempt-2"], "what the late one wrote is gone"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_messages_that_died_with_a_stopped_worker_are_sent_again(
    deployed: Deployment, clip: Path
) -> None:
    warm(deployed, clip)
    [worker] = deployed.processes("celery --app worker.tasks")
    worker.send_signal(signal.SIGSTOP)
    jobs = tracker_jobs(deployed, clip, 4)
    worker.send_signal(signal.SIGKILL)
    deployed.until_over(*jobs)
    assert {deployed.job(job).state for job in jobs} == {State.SUCCEEDED}
    assert result_sets(deployed, jobs) == [1] * 4


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_broker_that_restarts_again_and_again_loses_no_job(
    deployed: Deployment, broker: Valkey, clip: Path
) -> None:
    warm(deployed, clip)
    jobs = tracker_jobs(deployed, clip, 10)
    for _ in range(5):
        broker.kill()
        time.sleep(0.5)
        broker.start()
        time.sleep(0.5)
    jobs += tracker_jobs(deployed, clip, 12)[10:]
    deployed.until_over(*jobs)
    assert {deployed.job(job).state for job in jobs} == {State.SUCCEEDED}
    assert result_sets(deployed, jobs) == [1] * len(jobs)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_runner_that_outgrows_its_memory_fails_the_job_with_that_reason(
    home: Path, database_url: str, broker: Valkey, clip: Path
) -> None:
    # The model alone needs more than this; registering it does not load the whole of PyTorch's
    # inference, so the limit is set for the second worker only.
    with deployment(home, database_url, broker.url) as made:
        worker = made.start("worker")
        made.start("reconcile")
        made.cli("models", "add", str(WEIGHTS), "--name", "products")
        worker.terminate()
        worker.wait(30)
        made.environment["NIGHTSHELF_RUNNER_MEMORY_MB"] = "512"
        made.start("worker")
        job = enqueue(made, clip)
        made.until_over(job)
        assert made.job(job).state is State.FAILED
        assert made.outcomes(job) == ["failed"] * 3
        assert "more than the limit of 512 MiB" in str(made.job(job).error)
        assert not (made.home / "jobs" / str(job)).exists()


@pytest.fixture
def own_postgres() -> Iterator[servers.PostgresCluster]:
    """A cluster that the test may stop."""
    with servers.postgres() as cluster:
        cluster.create("nightshelf")
        schema.upgrade(engine(cluster.url("nightshelf")))
        yield cluster
        engine(cluster.url("nightshelf")).dispose()


@pytest.mark.parametrize(("how", "away_s"), [("fast", 2.0), ("immediate", 1.0), ("fast", 8.0)])
def test_a_database_that_goes_away_strands_and_doubles_nothing(
    home: Path,
    own_postgres: servers.PostgresCluster,
    broker: Valkey,
    clip: Path,
    how: str,
    away_s: float,
) -> None:
    with deployment(home, own_postgres.url("nightshelf"), broker.url) as made:
        made.start("worker")
        made.start("reconcile")
        made.cli("models", "add", str(WEIGHTS), "--name", "products")
        warm(made, clip)
        long = enqueue(made, clip, "--stride", "2")
        jobs = [long, *tracker_jobs(made, clip, 5)]
        made.until(lambda: made.job(long).progress_done > 5)
        made.database.dispose()
        own_postgres.stop(immediately=how == "immediate")
        time.sleep(away_s)  # the lease is 4 s: once shorter than that, and once longer
        own_postgres.start()
        made.until_over(*jobs)
        assert {made.job(job).state for job in jobs} == {State.SUCCEEDED}
        assert result_sets(made, jobs) == [1] * len(jobs)

"""A database that goes away, at any moment, strands and doubles nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db import schema
from db.dialect import engine, reading
from db.states import State
from tests import servers
from tests.cutting import Moment, cutter
from tests.deployment import Deployment, deployment
from tests.injected import Pause, enqueue, simulated_jobs, work
from tests.recorded import register_model
from tests.servers import PostgresCluster, Valkey

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster() -> Iterator[PostgresCluster]:
    """A cluster that the test may stop."""
    with servers.postgres() as made:
        made.create("nightshelf")
        schema.upgrade(engine(made.url("nightshelf")))
        yield made
        engine(made.url("nightshelf")).dispose()


@pytest.fixture
def house(home: Path, cluster: PostgresCluster, broker: Valkey) -> Iterator[Deployment]:
    """A deployment of simulated jobs on that cluster; nothing is started yet."""
    url = cluster.url("nightshelf")
    register_model(engine(url), "products", ["apple"], home)
    with deployment(home, url, broker.url, **simulated_jobs()) as made:
        yield made


def assert_all_succeeded_once(made: Deployment, jobs: list[int]) -> None:
    assert {made.job(job).state for job in jobs} == {State.SUCCEEDED}
    query = text("SELECT COUNT(*) FROM trackings WHERE job_id = :job")
    with reading(made.database) as tx:
        assert [tx.scalar(query, {"job": job}) for job in jobs] == [1] * len(jobs)
        addresses = tx.scalars(text("SELECT address FROM job_files ORDER BY job_id")).all()
    folders = [str(path.relative_to(made.home)) for path in (made.home / "jobs").glob("*/*")]
    assert sorted(str(Path(address).parent) for address in addresses) == sorted(folders)
    assert all((made.home / address).is_file() for address in addresses)


# The lease is 4 s: the database is away for less than that, and for much longer.
@pytest.mark.parametrize(("at_once", "away_s"), [(False, 2.0), (True, 1.0), (False, 20.0)])
def test_a_database_that_goes_away_strands_and_doubles_nothing(
    house: Deployment, cluster: PostgresCluster, at_once: bool, away_s: float
) -> None:
    house.start("worker")
    house.start("worker")
    house.start("reconcile")
    long = enqueue(house, *(work(house.home, f"long{n}", seconds=4) for n in range(2)))
    short = enqueue(house, *(work(house.home, f"short{n}") for n in range(5)))
    house.until(lambda: all(house.job(job).progress_done > 0 for job in long))
    house.database.dispose()
    cluster.stop(immediately=at_once)
    time.sleep(away_s)
    cluster.start()
    house.until_over(*long, *short)
    assert_all_succeeded_once(house, [*long, *short])


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_database_that_dies_in_the_middle_of_a_reaping_loses_no_job(
    house: Deployment, cluster: PostgresCluster, moment: str
) -> None:
    pause = Pause(f"db.jobs:reap:{moment}", house.home / "paused")
    undisturbed = house.environment
    house.environment = undisturbed | pause.settings
    house.start("reconcile")
    house.environment = undisturbed
    house.start("worker")
    job = house.enqueue(work(house.home, "a", seconds=3))
    house.until(lambda: house.job(job).progress_done > 0)
    [worker] = house.processes("celery --app worker.tasks")
    worker.kill()
    house.until(lambda: pause.begun)
    house.database.dispose()
    cluster.stop(immediately=True)
    cluster.start()
    pause.end()
    house.until_over(job)
    assert house.outcomes(job) == ["lost", "succeeded"]
    assert_all_succeeded_once(house, [job])


def test_a_reaper_that_acts_when_the_job_has_finished_changes_nothing(house: Deployment) -> None:
    # Its transaction has begun: that is no lock on PostgreSQL.
    pause = Pause("db.jobs:reap:before", house.home / "paused")
    undisturbed = house.environment
    house.environment = undisturbed | pause.settings
    reconciler = house.start("reconcile")
    house.environment = undisturbed
    house.start("worker")
    job = house.enqueue(work(house.home, "a", seconds=2))
    house.until(lambda: house.job(job).progress_done > 0)
    [worker] = house.processes("celery --app worker.tasks")
    worker.send_signal(signal.SIGSTOP)
    house.until(lambda: pause.begun)
    worker.send_signal(signal.SIGCONT)
    house.until_over(job)
    before = house.job(job)
    pause.end()
    following = house.enqueue(work(house.home, "b"))
    house.until_over(following)
    reconciler.terminate()
    reconciler.wait(30)
    assert house.job(job) == before
    assert house.outcomes(job) == ["succeeded"]
    assert_all_succeeded_once(house, [job, following])


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_connection_cut_at_the_commit_of_the_results_leaves_them_whole_and_once(
    house: Deployment, cluster: PostgresCluster, moment: Moment
) -> None:
    with cutter(cluster.folder, moment) as proxy:
        undisturbed = house.environment
        through = {"NIGHTSHELF_DATABASE_URL": cluster.url("nightshelf", proxy.folder)}
        house.environment = undisturbed | through
        worker = house.start("worker")
        house.environment = undisturbed
        house.start("reconcile")
        jobs = enqueue(house, *(work(house.home, f"w{number}") for number in range(2)))
        house.until_over(*jobs)
        worker.terminate()
        worker.wait(30)
    assert proxy.cuts >= 1
    assert_all_succeeded_once(house, jobs)
    assert [house.outcomes(job) for job in jobs] == [["succeeded"]] * 2


def test_a_worker_that_freezes_within_a_transaction_holds_nobody_up(house: Deployment) -> None:
    pause = Pause("db.results:write:after", house.home / "paused")
    undisturbed = house.environment
    house.environment = undisturbed | pause.settings
    house.start("worker")
    house.environment = undisturbed
    frozen = house.enqueue(work(house.home, "a"))
    house.until(lambda: pause.begun)
    house.start("worker")
    house.start("reconcile")
    house.until_over(frozen)
    following = house.enqueue(work(house.home, "b"))
    house.until_over(following)
    pause.end()
    house.until(lambda: "its lease was taken" in (house.home / "log").read_text())
    assert house.outcomes(frozen) == ["lost", "succeeded"]
    assert_all_succeeded_once(house, [frozen, following])

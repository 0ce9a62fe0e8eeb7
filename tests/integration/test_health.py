"""What a health check sees: work that is left undone, and not only silence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, update

from db import job_creation, queue
from db.dialect import now
from db.errors import Unreachable
from db.settings import Settings
from db.specs import RegisterSpec
from db.tables import JobRow
from producer.health import PATIENCE_S, Unhealthy, check_reconciler, check_worker
from tests.compose_file import REPOSITORY
from tests.recorded import WORKER, claimed, sha256
from tests.servers import Valkey

LONG_AGO = -PATIENCE_S - 60

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def spec(name: str) -> RegisterSpec:
    return RegisterSpec(name=name, weights=f"/w/{name}.pt", weights_sha256=sha256(name))


def queued(database: Engine, name: str, age_s: float = 0.0) -> int:
    with database.begin() as tx:
        job, _ = job_creation.create(tx, spec(name), max_attempts=3)
        tx.execute(update(JobRow).where(JobRow.id == job.id).values(created_at=now(-age_s)))
    return job.id


@pytest.fixture
def silent(broker: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that nobody listens at."""
    monkeypatch.setattr(queue, "_PING_S", 1.0)
    monkeypatch.setattr(queue, "app", queue.make_app(Settings(broker_url=broker.url)))


@pytest.fixture
def answering(silent: None, broker: Valkey) -> Iterator[None]:
    """A Celery worker on the host of `WORKER` that answers pings and runs nothing."""
    command = [sys.executable, "-m", "celery", "--app", "db.queue", "worker"]
    command += ["--pool", "threads", "--concurrency", "1", "--hostname", f"cpu-1@{WORKER.host}"]
    process = subprocess.Popen(
        command,
        env=os.environ | {"NIGHTSHELF_BROKER_URL": broker.url},
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            if queue.ping(WORKER.host):
                break
        yield
    finally:
        process.terminate()
        process.wait(30)


def test_a_worker_that_runs_a_job_is_healthy_whatever_else_waits(
    database: Engine, silent: None
) -> None:
    queued(database, "waits", 9000)
    with database.begin() as tx:
        claimed(tx, spec("runs"))
    assert check_worker(database, WORKER.host) == f"1 running on {WORKER.host}"


@pytest.mark.parametrize("other", ["host", "lease"])
def test_a_job_that_runs_elsewhere_or_is_lost_speaks_for_no_worker(
    database: Engine, silent: None, other: str
) -> None:
    with database.begin() as tx:
        claimed(tx, spec("runs"))
        if other == "lease":
            tx.execute(update(JobRow).values(lease_expires_at=now(-1)))
    with pytest.raises(Unhealthy, match=r"no worker on .* answers"):
        check_worker(database, "another" if other == "host" else WORKER.host)


@on_sqlite
def test_a_worker_that_leaves_what_is_due_is_not_healthy_even_if_it_answers(
    database: Engine, answering: None
) -> None:
    job = queued(database, "waits", -LONG_AGO)
    with pytest.raises(Unhealthy, match=f"nothing runs on .* though job {job} has been due for"):
        check_worker(database, WORKER.host)


@on_sqlite
def test_an_idle_worker_is_healthy_if_it_answers(database: Engine, answering: None) -> None:
    queued(database, "now")
    assert check_worker(database, WORKER.host) == f"idle on {WORKER.host}, and nothing is overdue"


def test_an_idle_worker_that_does_not_answer_is_not_healthy(database: Engine, silent: None) -> None:
    with pytest.raises(Unhealthy, match=f"no worker on {WORKER.host} answers"):
        check_worker(database, WORKER.host)


@on_sqlite
def test_pings_leave_nothing_in_the_broker(
    database: Engine, answering: None, broker: Valkey
) -> None:
    check_worker(database, WORKER.host)
    with broker.client() as client:
        before = client.dbsize()
        for _ in range(3):
            check_worker(database, WORKER.host)
        assert client.dbsize() == before


def test_without_a_broker_an_idle_worker_is_not_healthy(
    database: Engine, silent: None, broker: Valkey
) -> None:
    broker.stop()
    with pytest.raises(Unreachable, match="the broker does not answer"):
        check_worker(database, WORKER.host)


def test_a_reconciler_is_healthy_while_nothing_lies_about(database: Engine) -> None:
    queued(database, "now")
    with database.begin() as tx:
        claimed(tx, spec("runs"))
    assert check_reconciler(database)


def test_a_lease_that_was_over_long_ago_means_that_nobody_reconciles(database: Engine) -> None:
    with database.begin() as tx:
        claimed(tx, spec("lost"))
        tx.execute(update(JobRow).values(lease_expires_at=now(-1)))
    assert check_reconciler(database), "it may be on its way"
    with database.begin() as tx:
        tx.execute(update(JobRow).values(lease_expires_at=now(LONG_AGO)))
    with pytest.raises(Unhealthy, match="the leases of 1 jobs are over"):
        check_reconciler(database)


def test_a_due_job_that_nobody_rang_for_means_that_nobody_reconciles(database: Engine) -> None:
    first = queued(database, "first", -LONG_AGO)
    with pytest.raises(Unhealthy, match=f"job {first} has been due for .* nobody rang for it"):
        check_reconciler(database)
    other = queued(database, "rung")
    with database.begin() as tx:
        tx.execute(update(JobRow).where(JobRow.id == other).values(rung_at=now()))
    assert check_reconciler(database), "its queue is full: it waits for its turn"


@pytest.mark.parametrize(("lost", "code"), [(False, 0), (True, 1)])
def test_the_command_ends_with_a_code_and_one_line(
    database: Engine, configured: Settings, lost: bool, code: int
) -> None:
    if lost:
        queued(database, "a", -LONG_AGO)
    done = subprocess.run(
        [sys.executable, "-m", "producer", "healthy", "reconcile"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert len((done.stdout + done.stderr).splitlines()) == 1

"""The reaper's pass, on SQLite and on PostgreSQL, with a real broker."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from db import job_creation, job_records, queue
from db import jobs as protocol
from db.dialect import now
from db.errors import Unreachable
from db.job_records import Job
from db.layout import attempt_address, job_address
from db.settings import Settings
from db.specs import Priority, RegisterSpec, Spec
from db.states import Outcome, State
from db.tables import JobRow
from producer.reconcile import reconcile, reconcile_once
from tests.recorded import WORKER, sha256
from tests.servers import PostgresCluster, Valkey

QUEUE = "nightshelf.cpu.normal"


@pytest.fixture
def config(configured: Settings, broker: Valkey, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with the broker, and without a wait before the next attempt."""
    made = configured.model_copy(update={"retry_backoff_s": 0.0, "reconcile_s": 0.05})
    reachable = Settings(broker_url=broker.url)
    monkeypatch.setattr(queue, "app", queue.make_app(reachable))
    return made


def spec(name: str) -> Spec:
    return RegisterSpec(name=name, weights=f"/w/{name}.pt", weights_sha256=sha256(name))


def queued(
    database: Engine, name: str, attempts: int = 3, priority: Priority = Priority.NORMAL
) -> Job:
    with database.begin() as tx:
        return job_creation.create(tx, spec(name), max_attempts=attempts, priority=priority)[0]


def abandoned(database: Engine, name: str, attempts: int = 3) -> Job:
    """A job whose worker died a while ago."""
    job = queued(database, name, attempts)
    with database.begin() as tx:
        assert protocol.claim(tx, job.id, WORKER, 60)
        tx.execute(update(JobRow).where(JobRow.id == job.id).values(lease_expires_at=now(-1)))
    return job


def current(database: Engine, job: Job) -> Job:
    with database.begin() as tx:
        return job_records.get(tx, job.id)


def outcomes(database: Engine, job: Job) -> list[str | None]:
    with database.begin() as tx:
        return [attempt.outcome for attempt in job_records.attempts(tx, job.id)]


def messages(broker: Valkey, name: str = QUEUE) -> list[int]:
    """The jobs that a queue in the broker holds messages for, the first to be taken first."""
    with broker.client() as client:
        found = [json.loads(message) for message in client.lrange(name, 0, -1)]
    return [int(message["headers"]["id"]) for message in reversed(found)]


def until(what: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(600):
        if what():
            return
        waited.wait(0.05)
    raise AssertionError("it did not come true within 30 s")


def test_a_job_whose_worker_died_is_queued_again_and_rung_for(
    database: Engine, config: Settings, broker: Valkey
) -> None:
    job = abandoned(database, "a")
    done = reconcile_once(database, config)
    assert [one.id for one in done.reaped] == [one.id for one in done.rung] == [job.id]
    assert current(database, job).state is State.QUEUED
    assert outcomes(database, job) == [Outcome.LOST]
    assert messages(broker) == [job.id]


def test_a_second_pass_finds_nothing_to_do(
    database: Engine, config: Settings, broker: Valkey
) -> None:
    job = abandoned(database, "a")
    reconcile_once(database, config)
    again = reconcile_once(database, config)
    assert (again.reaped, again.rung) == ([], [])
    assert messages(broker) == [job.id]


def test_a_job_in_its_backoff_is_rung_for_when_that_is_over(
    database: Engine, config: Settings, broker: Valkey
) -> None:
    job = abandoned(database, "a")
    patient = config.model_copy(update={"retry_backoff_s": 100.0})
    done = reconcile_once(database, patient)
    assert [one.id for one in done.reaped] == [job.id]
    assert messages(broker) == []
    with database.begin() as tx:
        tx.execute(update(JobRow).values(not_before=now(-1)))
    assert [one.id for one in reconcile_once(database, patient).rung] == [job.id]
    assert messages(broker) == [job.id]


def test_a_worker_that_lives_keeps_its_job(
    database: Engine, config: Settings, broker: Valkey
) -> None:
    job = queued(database, "a")
    with database.begin() as tx:
        protocol.claim(tx, job.id, WORKER, 60)
    assert reconcile_once(database, config).reaped == []
    assert current(database, job).state is State.RUNNING
    assert messages(broker) == []


def test_a_job_that_nobody_rang_for_is_rung_for(
    database: Engine, config: Settings, broker: Valkey
) -> None:
    job = queued(database, "a")
    reconcile_once(database, config)
    assert messages(broker) == [job.id]


def test_a_message_that_was_lost_is_sent_again_but_not_at_once(
    database: Engine, config: Settings, broker: Valkey
) -> None:
    job = queued(database, "a")
    reconcile_once(database, config)
    with broker.client() as client:
        client.flushall()
    assert reconcile_once(database, config).rung == [], "it may just not have been taken yet"
    with database.begin() as tx:
        tx.execute(update(JobRow).values(rung_at=now(-config.ring_again_s - 1)))
    reconcile_once(database, config)
    assert messages(broker) == [job.id]


def test_a_message_that_only_waits_is_not_sent_again(
    database: Engine, config: Settings, broker: Valkey
) -> None:
    job = queued(database, "a")
    reconcile_once(database, config)
    with database.begin() as tx:
        tx.execute(update(JobRow).values(rung_at=now(-config.ring_again_s - 1)))
    reconcile_once(database, config)
    assert messages(broker) == [job.id]


def test_only_a_few_messages_lie_in_each_queue_and_in_the_order_of_the_jobs(
    database: Engine, config: Settings, broker: Valkey
) -> None:
    normal = [queued(database, f"n{number}").id for number in range(6)]
    high = [queued(database, f"h{number}", priority=Priority.HIGH).id for number in range(6)]
    for _ in range(3):
        reconcile_once(database, config)
    assert messages(broker) == normal[: config.ring_depth]
    assert messages(broker, "nightshelf.cpu.high") == high[: config.ring_depth]


def test_the_children_of_a_parent_that_failed_are_cancelled(
    database: Engine, config: Settings
) -> None:
    with database.begin() as tx:
        children = [spec(name) for name in "abc"]
        parent, _ = job_creation.create(tx, spec("parent"), max_attempts=1, children=children)
        of_parent = select(JobRow.id).where(JobRow.parent_id == parent.id).order_by(JobRow.id)
        dying, running, waiting = (job_records.get(tx, one) for one in tx.scalars(of_parent).all())
        assert protocol.claim(tx, dying.id, WORKER, 60)
        tx.execute(update(JobRow).where(JobRow.id == dying.id).values(lease_expires_at=now(-1)))
        assert protocol.claim(tx, running.id, WORKER, 60)
    reconcile_once(database, config)
    assert current(database, dying).state is State.FAILED
    failed = current(database, parent)
    assert failed.state is State.FAILED
    assert "was lost" in (failed.error or "")
    assert current(database, waiting).state is State.CANCELLED
    told = current(database, running)
    assert (told.state, told.cancel_requested) == (State.RUNNING, True)


@pytest.mark.parametrize(("attempts", "state"), [(1, State.FAILED), (2, State.QUEUED)])
def test_the_files_of_a_lost_attempt_are_removed(
    database: Engine, config: Settings, attempts: int, state: State
) -> None:
    job, other = abandoned(database, "a", attempts), queued(database, "b")
    for one in (job, other):
        folder = config.home / attempt_address(one.id, 1)
        folder.mkdir(parents=True)
        (folder / "half.parquet").touch()
    reconcile_once(database, config)
    assert current(database, job).state is state
    # Whether or not there is another attempt: the job may be cancelled before that begins.
    assert not (config.home / job_address(job.id)).exists()
    assert (config.home / job_address(other.id)).exists()


def test_a_broker_that_is_away_keeps_nothing_from_being_reaped(
    database: Engine, config: Settings, broker: Valkey
) -> None:
    job = abandoned(database, "a")
    broker.stop()
    with pytest.raises(Unreachable, match="the broker does not answer"):
        reconcile_once(database, config)
    reaped = current(database, job)
    assert (reaped.state, reaped.rung_at) == (State.QUEUED, None)
    broker.start()
    reconcile_once(database, config)
    assert messages(broker) == [job.id]


@contextmanager
def reconciling(database: Engine, config: Settings) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=reconcile, args=(database, config, stop))
    thread.start()
    try:
        yield
        assert thread.is_alive(), "it gave up"
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive(), "it did not stop"


def test_the_reconciler_outlives_a_broker_that_goes_and_comes_back(
    database: Engine, config: Settings, broker: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    with reconciling(database, config):
        before = queued(database, "before")
        until(lambda: messages(broker) == [before.id])
        broker.stop()
        during = queued(database, "during")
        until(lambda: "will try again: the broker does not answer" in caplog.text)
        broker.start()
        until(lambda: during.id in messages(broker))
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_reconciler_outlives_a_database_that_goes_and_comes_back(
    database: Engine,
    config: Settings,
    broker: Valkey,
    postgres: PostgresCluster,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with reconciling(database, config):
        postgres.stop()
        try:
            until(lambda: "will try again" in caplog.text)
        finally:
            postgres.start()
        job = queued(database, "a")
        until(lambda: messages(broker) == [job.id])


def test_reconcilers_at_once_reap_each_job_once(
    database: Engine, config: Settings, tmp_path: Path
) -> None:
    reapers, number = 4, 40
    dead = [abandoned(database, f"m{one}") for one in range(number)]
    start = threading.Barrier(reapers)

    def reap() -> list[int]:
        start.wait()
        return [job.id for job in reconcile_once(database, config).reaped]

    with ThreadPoolExecutor(reapers) as pool:
        passes = [future.result() for future in [pool.submit(reap) for _ in range(reapers)]]
    assert Counter(job_id for reaped in passes for job_id in reaped) == {job.id: 1 for job in dead}
    for job in dead:
        assert outcomes(database, job) == [Outcome.LOST]
        assert current(database, job).attempt == 1

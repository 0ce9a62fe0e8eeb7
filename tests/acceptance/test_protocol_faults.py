"""Messages that come twice or not at all, workers that come back, a broker that does not last."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from db.dialect import reading
from db.states import State
from tests.deployment import Deployment
from tests.injected import enqueue, send, work
from tests.servers import Valkey

pytestmark = pytest.mark.slow

# Some other application on the same broker, with a visibility timeout of its own: once a second
# it does what each of its consumers does now and then.
_IMPATIENT = """
import sys, time
from celery import Celery
app = Celery(broker=sys.argv[1])
app.conf.broker_transport_options = {"visibility_timeout": 3}
with app.connection_for_read() as connection:
    while True:
        connection.default_channel.qos.restore_visible()
        time.sleep(1)
"""


def result_sets(deployed: Deployment, jobs: list[int]) -> list[int]:
    """How many sets of results each job has: rows of `trackings`."""
    query = text("SELECT COUNT(*) FROM trackings WHERE job_id = :job")
    with reading(deployed.database) as tx:
        return [int(tx.scalar(query, {"job": job}) or 0) for job in jobs]


def assert_all_succeeded_once(deployed: Deployment, jobs: list[int]) -> None:
    assert {deployed.job(job).state for job in jobs} == {State.SUCCEEDED}
    assert result_sets(deployed, jobs) == [1] * len(jobs)


def under_way(deployed: Deployment, job: int) -> None:
    deployed.until(lambda: deployed.job(job).progress_done > 0)


def received(deployed: Deployment, job: int) -> int:
    """How many messages for a job workers have taken."""
    said = (deployed.home / "log").read_text()
    return len(re.findall(rf"Task nightshelf\.track\[{job}\] received", said))


def until_drained(deployed: Deployment, broker: Valkey) -> None:
    with broker.client() as client:
        deployed.until(lambda: client.llen("nightshelf.gpu.normal") == 0, 30)


@pytest.mark.parametrize("broker", ["valkey", "redis"], indirect=True)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_message_that_comes_five_times_is_obeyed_once(
    simulated: Deployment, broker: Valkey
) -> None:
    for service in ("worker", "worker", "reconcile"):
        simulated.start(service)
    job = simulated.enqueue(work(simulated.home, "a", seconds=5))
    under_way(simulated, job)
    send(broker, simulated.job(job), 5)
    # The other worker has taken and dropped all of them before the job is over. (There may be one
    # more of the reconciler's, if the first was slow to be obeyed.)
    until_drained(simulated, broker)
    simulated.until(lambda: received(simulated, job) >= 6, 60)
    simulated.until_over(job)
    send(broker, simulated.job(job), 5)
    simulated.until(lambda: received(simulated, job) >= 11, 60)
    assert simulated.outcomes(job) == ["succeeded"]
    assert_all_succeeded_once(simulated, [job])


@contextmanager
def impatient_client(broker: Valkey) -> Iterator[None]:
    """A client of the broker that returns whatever is not acknowledged within 3 s."""
    with subprocess.Popen([sys.executable, "-c", _IMPATIENT, broker.url]) as process:
        try:
            yield
            assert process.poll() is None, "it has ended by itself"
        finally:
            process.kill()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_another_clients_visibility_timeout_that_is_shorter_than_a_job_runs_it_once(
    simulated: Deployment, broker: Valkey
) -> None:
    for service in ("worker", "worker", "reconcile"):
        simulated.start(service)
    with impatient_client(broker):
        job = simulated.enqueue(work(simulated.home, "a", seconds=15))
        simulated.until_over(job)
        until_drained(simulated, broker)
    assert received(simulated, job) > 1, "the message was not returned"
    assert simulated.outcomes(job) == ["succeeded"]
    assert_all_succeeded_once(simulated, [job])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_worker_that_slept_past_its_lease_changes_nothing_when_it_wakes(
    simulated: Deployment,
) -> None:
    simulated.start("worker")
    simulated.start("reconcile")
    job = simulated.enqueue(work(simulated.home, "a", seconds=5))
    under_way(simulated, job)
    [sleeper] = simulated.processes("celery --app worker.tasks")
    runner = simulated.runner()
    sleeper.send_signal(signal.SIGSTOP)
    simulated.start("worker")
    simulated.until_over(job)
    assert simulated.outcomes(job) == ["lost", "succeeded"]
    before = simulated.job(job)
    sleeper.send_signal(signal.SIGCONT)
    simulated.until(lambda: runner not in simulated.processes("worker.runner"), 30)
    assert simulated.job(job) == before
    assert_all_succeeded_once(simulated, [job])
    folders = sorted(path.name for path in (simulated.home / "jobs" / str(job)).iterdir())
    assert folders == ["attempt-2"], "what the late one wrote is gone"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_messages_that_died_with_a_stopped_worker_are_sent_again(simulated: Deployment) -> None:
    simulated.start("worker")
    simulated.start("reconcile")
    first = simulated.enqueue(work(simulated.home, "first"))
    # One that is stopped with SQLite's lock in its hands would stop everybody.
    simulated.until(lambda: f"track[{first}] succeeded" in (simulated.home / "log").read_text())
    [worker] = simulated.processes("celery --app worker.tasks")
    worker.send_signal(signal.SIGSTOP)
    jobs = enqueue(simulated, *(work(simulated.home, f"w{number}") for number in range(4)))
    worker.send_signal(signal.SIGKILL)
    simulated.until_over(*jobs)
    assert_all_succeeded_once(simulated, jobs)


@pytest.mark.parametrize("broker", ["valkey", "redis"], indirect=True)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_broker_that_restarts_again_and_again_loses_no_job(
    simulated: Deployment, broker: Valkey
) -> None:
    simulated.start("worker")
    simulated.start("reconcile")
    jobs = enqueue(
        simulated, *(work(simulated.home, f"w{number}", seconds=0.5) for number in range(10))
    )
    simulated.until(lambda: simulated.job(jobs[0]).over)
    for _ in range(5):
        broker.kill()
        time.sleep(0.5)
        broker.start()
        time.sleep(0.5)
    jobs += enqueue(simulated, *(work(simulated.home, f"v{number}") for number in range(2)))
    simulated.until_over(*jobs)
    assert_all_succeeded_once(simulated, jobs)

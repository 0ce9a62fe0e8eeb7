"""Ten thousand jobs from a folder: the broker stays small, and who asked first goes first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

from db import job_records
from db.dialect import engine, reading
from db.rings import QUEUES
from db.specs import Priority
from db.states import State
from db.tables import AttemptRow, JobRow
from producer.exit_codes import ExitCode
from tests.deployment import Deployment, deployment
from tests.injected import simulated_jobs, work
from tests.recorded import register_model
from tests.servers import Valkey, valkey

JOBS, URGENT, RUN = 10_000, 20, 150
RING_DEPTH = 4
BROKER_MIB = 64


@pytest.fixture
def broker() -> Iterator[Valkey]:
    with valkey("--maxmemory", f"{BROKER_MIB}mb") as server:
        yield server


@pytest.fixture
def loaded(home: Path, database_url: str, broker: Valkey) -> Iterator[Deployment]:
    """Simulated jobs; a message is not taken to be lost because two cores are busy."""
    register_model(engine(database_url), "products", ["apple"], home)
    patient = {"NIGHTSHELF_RING_DEPTH": str(RING_DEPTH), "NIGHTSHELF_RING_AGAIN_S": "600"}
    with deployment(home, database_url, broker.url, **simulated_jobs(), **patient) as started:
        yield started


def footage(folder: Path, count: int) -> Path:
    """A folder of a chain's videos, a folder for each store."""
    for number in range(count):
        store = folder / f"store-{number // 100:03d}"
        store.mkdir(parents=True, exist_ok=True)
        work(store, f"{folder.name}-{number:05d}")
    return folder


@contextmanager
def depths(broker: Valkey) -> Iterator[list[int]]:
    """The lengths of all queues, again and again meanwhile."""
    found: list[int] = []
    over = threading.Event()

    def look() -> None:
        with broker.client() as client:
            while not over.wait(0.02):
                found.extend(int(client.llen(queue)) for queue in QUEUES)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield found
    finally:
        over.set()
        looker.join()


def started(deployed: Deployment) -> list[tuple[int, Priority]]:
    """The `track` jobs that were begun, the first one first, with their priorities."""
    query = (
        select(JobRow.id, JobRow.priority)
        .join(AttemptRow, AttemptRow.job_id == JobRow.id)
        .where(JobRow.kind == "track")
        .order_by(AttemptRow.started_at)
    )
    with reading(deployed.database) as tx:
        return [(row.id, Priority(row.priority)) for row in tx.execute(query)]


def ended(deployed: Deployment) -> int:
    query = select(func.count()).where(JobRow.kind == "track", JobRow.ended_at.is_not(None))
    with reading(deployed.database) as tx:
        return int(tx.scalar(query) or 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database_url", "workers"), [("sqlite", 1), ("postgresql", 3)], indirect=["database_url"]
)
def test_ten_thousand_jobs_wait_in_sql_and_run_by_priority_in_the_order_of_the_folder(
    loaded: Deployment, broker: Valkey, workers: int
) -> None:
    night, urgent = footage(loaded.home / "night", JOBS), footage(loaded.home / "urgent", URGENT)
    with depths(broker) as found:
        told = loaded.cli("track", str(night), "--model", "products").splitlines()
        assert len(told) == JOBS
        assert told[0].endswith("night-00000.mp4  queued")
        assert told[-1].endswith(f"night-{JOBS - 1:05d}.mp4  queued")
        for _ in range(workers):
            loaded.start("worker")
        loaded.start("reconcile")
        loaded.until(lambda: ended(loaded) >= RUN // 3)
        loaded.cli("track", str(urgent), "--model", "products", "--priority", "high")
        begun = len(started(loaded))
        loaded.until(lambda: ended(loaded) >= RUN)
        listed = loaded.cli_json("jobs", "list", "--state", "queued", "--limit", "10")
        assert [job["priority"] for job in listed] == ["normal"] * 10
        with broker.client() as client:
            assert client.info("memory")["used_memory"] < BROKER_MIB * 2**20 / 8
    # A message for a job that was handed back may still lie there when it is sent again.
    assert max(found) <= RING_DEPTH + workers - 1
    assert len(found) > 1000, "it was looked at often"

    order = started(loaded)
    # One worker takes them exactly in order; of several, each may be late with one message, and
    # meanwhile the others go on. What was rung for and is not begun can be overtaken, no more.
    slack = 0 if workers == 1 else RING_DEPTH + workers
    normal, high = (
        [job for job, priority in order if priority is wanted]
        for wanted in (Priority.NORMAL, Priority.HIGH)
    )
    assert len(high) == URGENT
    for jobs in (normal, high):
        assert most_overtaken(jobs) <= slack
        assert max(jobs) - min(jobs) < len(jobs) + slack, "none was passed over"
    # Those that had begun when the urgent ones were asked for, and one more that each worker
    # may have taken meanwhile, are all that went before them; but for one that each may be late
    # with.
    in_time = high[: URGENT - workers + 1]
    before_the_last_urgent = [
        priority for _, priority in order[: order.index((in_time[-1], Priority.HIGH))]
    ]
    assert before_the_last_urgent.count(Priority.NORMAL) <= begun + workers


def most_overtaken(jobs: list[int]) -> int:
    """How many jobs of smaller ids were begun after one, at most."""
    return max(sum(later < job for later in jobs[place:]) for place, job in enumerate(jobs))


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_enqueueing_that_was_interrupted_keeps_what_it_recorded_and_goes_on_after_it(
    loaded: Deployment,
) -> None:
    night = footage(loaded.home / "night", 300)
    endless = night / "zzz.mp4"
    with endless.open("wb") as file:
        file.truncate(2**36)  # takes no room, and minutes to read
    command = loaded.start("track", str(night), "--model", "products")
    loaded.until(lambda: recorded(loaded) > 0)
    command.send_signal(signal.SIGINT)
    code, log = command.wait(30), (loaded.home / "log").read_text()
    assert code == ExitCode.INTERRUPTED, log
    kept = recorded(loaded)
    assert f"{kept} jobs were recorded before that, and stay" in log
    endless.unlink()
    told = loaded.cli("track", str(night), "--model", "products").splitlines()
    assert sum(line.endswith("already queued") for line in told) == kept
    assert recorded(loaded) == len(told) == 300


def recorded(deployed: Deployment) -> int:
    with reading(deployed.database) as tx:
        return job_records.count_by_state(tx).get(State.QUEUED, 0)

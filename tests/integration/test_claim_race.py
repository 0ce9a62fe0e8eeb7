"""Workers race for jobs: eight processes on both databases, and 32 workers on PostgreSQL."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import queue
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, Engine, create_engine, exists, func, select, text
from sqlalchemy.exc import OperationalError

from db import job_creation, jobs, rings
from db.dialect import engine, reading
from db.errors import LeaseLost, UsageError
from db.job_records import Progress
from db.jobs import Claimant
from db.specs import RegisterSpec
from db.states import Outcome
from db.tables import AttemptRow, JobRow
from producer.enqueue import enqueue

RACERS, JOBS = 8, 200
WORKERS, FAMILIES, SINGLES, RING_DEPTH = 32, 15, 240, 64


def spec(name: str) -> RegisterSpec:
    content = hashlib.sha256(name.encode()).hexdigest()
    return RegisterSpec(name=name, weights="/w.pt", weights_sha256=content)


def race(url: str, racer: int, job_ids: list[int]) -> list[int]:
    """Claim and finish whatever is to be had, in an order of the racer's own."""
    database = engine(url)
    random.Random(racer).shuffle(job_ids)
    won = []
    for job_id in job_ids:
        with database.begin() as tx:
            lease = jobs.claim(tx, job_id, Claimant(f"racer-{racer}", "here", "cpu"), 60)
        if lease is not None:
            won.append(job_id)
            with database.begin() as tx:
                jobs.finish(tx, lease)
    database.dispose()
    return won


def test_each_of_200_jobs_is_claimed_by_exactly_one_of_8_processes(
    database: Engine, database_url: str
) -> None:
    with database.begin() as tx:
        made = job_creation.create_all(
            tx, [spec(f"m{number}") for number in range(JOBS)], max_attempts=3
        )
    ids = [job.id for job, _ in made]
    database.dispose()  # connections must not be shared with the children
    with multiprocessing.get_context("spawn").Pool(RACERS) as pool:
        won = pool.starmap(race, [(database_url, racer, list(ids)) for racer in range(RACERS)])
    claims = Counter(job_id for mine in won for job_id in mine)
    assert claims == dict.fromkeys(ids, 1)
    assert sum(bool(mine) for mine in won) > 1, "one process alone makes no race"
    with database.begin() as tx:
        assert tx.scalar(select(func.count()).select_from(AttemptRow)) == JOBS
        assert set(tx.scalars(select(JobRow.state))) == {"succeeded"}


class Night:
    """Workers, their messages, and all that can happen to jobs while they work."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._messages: queue.Queue[int] = queue.Queue()

    def work(self, worker: int) -> None:
        """Run what is rung for, one job after the other, until no job is left."""
        chance = random.Random(worker)
        while True:
            try:
                self._run(self._messages.get(timeout=0.1), f"worker-{worker}", chance)
            except queue.Empty:
                if not self._anything_left():
                    return
            with self._database.begin() as tx:
                due = rings.to_ring(tx, RING_DEPTH, 2.0, {})  # as if the broker lost the others
            for job in due:
                self._messages.put(job.id)
            if chance.random() < 0.05:
                self._cancel(chance)
            if chance.random() < 0.1:
                self._reap()

    def _anything_left(self) -> bool:
        with reading(self._database) as tx:
            return bool(tx.scalar(select(exists().where(JobRow.ended_at.is_(None)))))

    def _run(self, job_id: int, worker: str, chance: random.Random) -> None:
        luck = chance.random()
        lease_s = 0 if luck < 0.05 else 60  # who takes it for no time is as good as dead
        with self._database.begin() as tx:
            lease = jobs.claim(tx, job_id, Claimant(worker, "here", "cpu"), lease_s)
        if lease is None or luck < 0.05:
            return
        with contextlib.suppress(LeaseLost):
            with self._database.begin() as tx:
                unwanted = jobs.heartbeat(tx, lease, 60, Progress(1, 2))
            with self._database.begin() as tx:
                if unwanted:
                    jobs.end_cancelled(tx, lease)
                elif luck < 0.15:
                    jobs.hand_back(tx, lease)
                elif luck < 0.25:
                    jobs.fail(tx, lease, "bad luck")
                else:
                    jobs.finish(tx, lease)

    def _cancel(self, chance: random.Random) -> None:
        with contextlib.suppress(UsageError), self._database.begin() as tx:
            jobs.cancel(tx, chance.randint(1, 4 * FAMILIES))
        with self._database.begin() as tx:
            jobs.cancel_abandoned(tx)

    def _reap(self) -> None:
        with reading(self._database) as tx:
            expired = jobs.expired(tx)
        for lease in expired:
            with self._database.begin() as tx:
                jobs.reap(tx, lease)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_32_workers_end_300_jobs_once_each_and_none_waits_for_another_in_a_circle(
    database_url: str,
) -> None:
    database = create_engine(database_url, pool_size=WORKERS)
    with database.begin() as tx:
        for family in range(FAMILIES):
            parts = [spec(f"family-{family}.{part}") for part in range(3)]
            job_creation.create(tx, spec(f"family-{family}"), max_attempts=9, children=parts)
        job_creation.create_all(
            tx, [spec(f"s{number}") for number in range(SINGLES)], max_attempts=9
        )
    night = Night(database)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(night.work, range(WORKERS)))  # raises what a worker raised
    with database.begin() as tx:
        # The sessions of the others have told what they saw when they are over.
        assert deadlocks(tx) == 0
        succeeded = tx.scalars(select(JobRow.id).where(JobRow.state == "succeeded")).all()
        ends = tx.scalars(
            select(AttemptRow.job_id).where(AttemptRow.outcome == Outcome.SUCCEEDED)
        ).all()
        unended = select(func.count()).where(AttemptRow.ended_at.is_(None))
        assert tx.scalar(unended) == 0
        workers = tx.scalar(select(func.count(AttemptRow.worker.distinct())))
    assert sorted(ends) == sorted(succeeded), "each once"
    assert len(succeeded) > SINGLES * 0.9, "hardly any fails nine times"
    assert workers == WORKERS, "nobody starves"
    database.dispose()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.usefixtures("configured")
def test_two_that_record_the_same_in_opposite_orders_make_one_job_of_each(
    database: Engine,
) -> None:
    here, there = spec("here"), spec("there")
    with ThreadPoolExecutor(1) as pool:
        # Whichever of the two the database ends: who enqueues is not told of it.
        with contextlib.suppress(OperationalError), database.begin() as tx:
            job_creation.create(tx, here, max_attempts=3)
            other = pool.submit(enqueue, [there, here])
            while not waits_for_a_lock(database):
                time.sleep(0.01)
            job_creation.create(tx, there, max_attempts=3)
        enqueued = other.result(60)
    with database.begin() as tx:
        made = list(tx.scalars(select(JobRow.id)))
    assert sorted(one.job.id for one in enqueued) == sorted(made)


def waits_for_a_lock(database: Engine) -> bool:
    query = (
        "SELECT 1 FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with reading(database) as tx:
        return tx.scalar(text(query)) is not None


def deadlocks(tx: Connection) -> int:
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    return int(tx.scalar(text(query)) or 0)

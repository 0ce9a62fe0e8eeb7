"""Which jobs a message is due for, on SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, select, update

from db import job_creation, jobs, rings
from db.dialect import now, reading
from db.jobs import Claimant
from db.specs import Priority, RegisterSpec
from db.tables import JobRow

DEPTH, AGAIN_S = 2, 30.0


def enqueue(database: Engine, name: str, priority: Priority = Priority.NORMAL) -> int:
    content = hashlib.sha256(name.encode()).hexdigest()
    spec = RegisterSpec(name=name, weights="/w.pt", weights_sha256=content)
    with database.begin() as tx:
        return job_creation.create(tx, spec, max_attempts=3, priority=priority)[0].id


def due(database: Engine, messages: int = 0) -> list[int]:
    held = {f"nightshelf.cpu.{name}": messages for name in ("low", "normal", "high")}
    with database.begin() as tx:
        return [job.id for job in rings.to_ring(tx, DEPTH, AGAIN_S, held)]


def test_only_so_many_jobs_of_a_queue_are_rung_for_at_a_time(database: Engine) -> None:
    first, second, third = (enqueue(database, name) for name in "abc")
    assert due(database) == [first, second]
    assert due(database) == [], "two messages are outstanding"
    with database.begin() as tx:
        jobs.claim(tx, first, Claimant("w", "h", "cpu"), 60)
    assert due(database) == [third], "a claim makes room for the next"


def test_priorities_have_queues_of_their_own_and_higher_ones_ring_first(database: Engine) -> None:
    low = enqueue(database, "low", Priority.LOW)
    normal = enqueue(database, "normal")
    high = enqueue(database, "high", Priority.HIGH)
    assert due(database) == [high, normal, low]


def let_messages_age(database: Engine) -> None:
    with database.begin() as tx:
        tx.execute(update(JobRow).values(rung_at=now(-AGAIN_S - 1)))


def test_a_job_whose_message_was_lost_is_rung_for_again(database: Engine) -> None:
    job = enqueue(database, "a")
    assert due(database) == [job]
    assert due(database) == [], "it may be on its way"
    let_messages_age(database)
    assert due(database) == [job]
    assert due(database) == []


def test_a_message_that_waits_for_a_busy_worker_is_not_sent_again(database: Engine) -> None:
    jobs_ = [enqueue(database, name) for name in "ab"]
    assert due(database) == jobs_
    let_messages_age(database)
    assert due(database, messages=2) == []
    assert due(database, messages=1) == jobs_, "one is lost, and nobody knows which"


def test_a_message_that_could_not_be_sent_is_due_at_once(database: Engine) -> None:
    job = enqueue(database, "a")
    assert due(database) == [job]
    with database.begin() as tx:
        rings.unring(tx, [job])
    assert due(database) == [job]


def test_a_job_in_its_backoff_is_not_rung_for(database: Engine) -> None:
    job = enqueue(database, "a")
    with database.begin() as tx:
        tx.execute(update(JobRow).values(not_before=now(60)))
    assert due(database) == []
    with database.begin() as tx:
        tx.execute(update(JobRow).values(not_before=now(-1)))
    assert due(database) == [job]


def test_one_that_asks_takes_jobs_in_the_order_of_priority_and_enqueueing(
    database: Engine,
) -> None:
    normal = [enqueue(database, f"n{number}") for number in range(7)]
    taken = []
    waiting: list[int] = []
    for turn in range(12):
        if turn == 3:
            high = [enqueue(database, f"h{number}", Priority.HIGH) for number in range(5)]
        waiting += due(database, messages=DEPTH)
        # As a worker looks into its queues: by priority, and each from its front.
        job_id = min(waiting, key=lambda one: (one not in high if turn >= 3 else 0, one))
        waiting.remove(job_id)
        with database.begin() as tx:
            assert jobs.claim(tx, job_id, Claimant("w", "h", "cpu"), 60)
        taken.append(job_id)
    assert taken == [*normal[:3], *high, *normal[3:]]
    assert due(database) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_many_who_ring_at_once_never_ring_for_more_than_fit_nor_for_one_twice(
    database: Engine,
) -> None:
    for number in range(60):
        enqueue(database, f"m{number}")
    start = threading.Barrier(8)

    def take_and_ring(worker: int) -> list[int]:
        rung = []
        start.wait()
        for _ in range(10):
            with database.begin() as tx:
                mine = tx.scalars(
                    select(JobRow.id)
                    .where(JobRow.rung_at.is_not(None))
                    .order_by(JobRow.id)
                    .limit(1)
                    .with_for_update(skip_locked=True)
                ).first()
                if mine is not None:
                    assert jobs.claim(tx, mine, Claimant(f"w{worker}", "h", "cpu"), 60)
            rung += due(database, messages=DEPTH)
            with reading(database) as tx:
                outstanding = tx.scalars(select(JobRow.id).where(JobRow.rung_at.is_not(None)))
                assert len(outstanding.all()) <= DEPTH
        return rung

    with ThreadPoolExecutor(8) as pool:
        rung = [job_id for mine in pool.map(take_and_ring, range(8)) for job_id in mine]
    assert sorted(rung) == sorted(set(rung))
    assert max(rung) < len(rung) + 1, "in the order of their ids, and none was passed over"

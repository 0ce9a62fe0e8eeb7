"""Which jobs a message is due for, on SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib

from sqlalchemy import Engine, update

from db import jobs, rings
from db.dialect import now
from db.jobs import Claimant
from db.specs import Priority, RegisterSpec
from db.tables import JobRow

DEPTH, AGAIN_S = 2, 30.0


def enqueue(database: Engine, name: str, priority: Priority = Priority.NORMAL) -> int:
    content = hashlib.sha256(name.encode()).hexdigest()
    spec = RegisterSpec(name=name, weights="/w.pt", weights_sha256=content)
    with database.begin() as tx:
        return jobs.create(tx, spec, max_attempts=3, priority=priority)[0].id


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

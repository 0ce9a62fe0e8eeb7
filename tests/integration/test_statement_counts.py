"""How many SQL statements a job costs: the numbers of docs/architecture.md, for any queue."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from db import backlog, job_creation, job_records, jobs, results, rings
from db.dialect import reading
from db.job_records import Progress
from db.jobs import Lease
from db.results import FileFacts
from db.specs import Spec
from db.states import State
from producer.enqueue import enqueue
from producer.follow import watch
from tests.recorded import WORKER, register_model, track, track_result, track_spec
from tests.statements import statements

DEPTH, AGAIN_S = 4, 30.0
FULL = dict.fromkeys(rings.QUEUES, DEPTH)

_videos = itertools.count()


def counted(database: Engine, step: Callable[[Connection], Any]) -> tuple[int, Any]:
    """How many statements a step in a transaction of its own takes, and what it gives."""
    with statements(database) as seen, database.begin() as tx:
        value = step(tx)
    return len(seen), value


def footage(model: str, count: int) -> list[Spec]:
    """Requests to track videos that nobody asked for before."""
    return [track_spec(model, f"/footage/{next(_videos)}.mp4") for _ in range(count)]


def record(database: Engine, specs: Sequence[Spec]) -> tuple[int, list[int]]:
    count, made = counted(database, lambda tx: job_creation.create_all(tx, specs, max_attempts=3))
    return count, [job.id for job, _ in made]


def ring(database: Engine) -> int:
    return counted(database, lambda tx: rings.to_ring(tx, DEPTH, AGAIN_S, FULL))[0]


def claim(database: Engine, job_id: int) -> tuple[int, Lease]:
    return counted(database, lambda tx: jobs.claim(tx, job_id, WORKER, 60))


def life_of_a_job(database: Engine, model: str) -> dict[str, int]:
    """What each step of one job's life takes."""
    took = {}
    specs = footage(model, 1)
    took["record"], [job_id] = record(database, specs)
    took["record again"], _ = record(database, specs)
    ring(database)
    took["ring, and all are rung for"] = ring(database)
    took["claim"], lease = claim(database, job_id)
    took["claim of a job that is taken"], _ = claim(database, job_id)
    took["heartbeat"], _ = counted(
        database, lambda tx: jobs.heartbeat(tx, lease, 60, Progress(1, 2, "frames"))
    )
    took["hand back"], _ = counted(database, lambda tx: jobs.hand_back(tx, lease))
    _, lease = claim(database, job_id)
    took["fail"], _ = counted(database, lambda tx: jobs.fail(tx, lease, "bad luck"))
    _, lease = claim(database, job_id)
    file = FileFacts(name="trajectories.parquet", sha256="0" * 64, size_bytes=1)
    result = track_result([track(1, 0, 0, 9)], ["apple"], 10).model_copy(update={"files": (file,)})

    def finish(tx: Connection) -> None:
        jobs.finish(tx, lease)
        results.write(tx, lease.job, result)

    took["finish"], _ = counted(database, finish)
    with reading(database) as tx:
        queued = job_records.listing(tx, states=[State.QUEUED])
    claim(database, next(job.id for job in queued if job.rung_at))
    took["ring for the next"] = ring(database)
    took["a reconciler's look"] = sum(
        counted(database, step)[0] for step in (jobs.expired, jobs.cancel_abandoned)
    )
    took["list"], _ = counted(database, lambda tx: job_records.listing(tx, limit=50))
    took["the oldest"], _ = counted(database, backlog.longest_waiting)
    return took


STATED = {
    "record": 4,
    "record again": 1,
    "ring, and all are rung for": 1,
    "claim": 2,
    "claim of a job that is taken": 1,
    "heartbeat": 1,
    "hand back": 2,
    "fail": 2,
    "finish": 12,
    "ring for the next": 2,
    "a reconciler's look": 2,
    "list": 1,
    "the oldest": 2,
}


def test_a_jobs_statements_are_as_many_with_10_jobs_queued_as_with_5000(database: Engine) -> None:
    model = register_model(database, "coco", ["apple"])
    record(database, footage(model, 10))
    assert life_of_a_job(database, model) == STATED
    for _ in range(20):
        record(database, footage(model, 250))
    with database.begin() as tx:
        assert job_records.count_by_state(tx)[State.QUEUED] > 5000
    assert life_of_a_job(database, model) == STATED


@pytest.mark.parametrize("jobs_asked_for", [1, 250])
def test_recording_many_jobs_takes_as_many_statements_as_recording_one(
    database: Engine, jobs_asked_for: int
) -> None:
    specs = footage("f" * 64, jobs_asked_for)
    assert record(database, specs)[0] == STATED["record"]
    assert record(database, specs)[0] == STATED["record again"]


def test_a_part_that_ends_costs_its_parent_one_statement_and_the_last_part_two(
    database: Engine,
) -> None:
    with database.begin() as tx:
        [parent, *parts] = footage("f" * 64, 4)
        job_creation.create(tx, parent, max_attempts=3, children=parts)
        children = job_records.family(tx, 1)
    took = []
    for child in children:
        _, lease = claim(database, child.id)
        took.append(counted(database, lambda tx, lease=lease: jobs.finish(tx, lease))[0])
    assert took == [3, 3, 4]


@pytest.mark.usefixtures("configured")
def test_enqueueing_takes_the_same_statements_for_every_250_jobs(database: Engine) -> None:
    with statements(database) as before:
        enqueue([])
    for batches in (1, 4):
        with statements(database) as seen:
            # The broker is away: who rings asks it first, and then has nothing to ask of SQL.
            assert len(enqueue(footage("f" * 64, 250 * batches))) == 250 * batches
        assert len(seen) - len(before) == STATED["record"] * batches


@pytest.mark.usefixtures("configured")
def test_watching_reads_only_what_is_new(database: Engine) -> None:
    _, ids = record(database, footage("f" * 64, 300))
    sights = watch(every_s=0)
    assert [sight.job.id for sight in next(sights)] == ids
    with statements(database) as seen:
        next(sights)
    assert len(seen) == 1, "nothing is new"
    claim(database, ids[7])
    with statements(database) as seen:
        assert next(sights)[7].job.state is State.RUNNING
    assert len(seen) == 2

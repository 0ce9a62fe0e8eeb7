"""Eight processes race for 200 jobs, on SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib
import multiprocessing
import random
from collections import Counter

from sqlalchemy import Engine, func, select

from db import jobs
from db.dialect import engine
from db.jobs import Claimant
from db.specs import RegisterSpec
from db.tables import AttemptRow, JobRow

RACERS, JOBS = 8, 200


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
    ids = []
    with database.begin() as tx:
        for number in range(JOBS):
            content = hashlib.sha256(str(number).encode()).hexdigest()
            spec = RegisterSpec(name=f"m{number}", weights="/w.pt", weights_sha256=content)
            ids.append(jobs.create(tx, spec, max_attempts=3)[0].id)
    database.dispose()  # connections must not be shared with the children
    with multiprocessing.get_context("spawn").Pool(RACERS) as pool:
        won = pool.starmap(race, [(database_url, racer, list(ids)) for racer in range(RACERS)])
    claims = Counter(job_id for mine in won for job_id in mine)
    assert claims == dict.fromkeys(ids, 1)
    assert sum(bool(mine) for mine in won) > 1, "one process alone makes no race"
    with database.begin() as tx:
        assert tx.scalar(select(func.count()).select_from(AttemptRow)) == JOBS
        assert set(tx.scalars(select(JobRow.state))) == {"succeeded"}

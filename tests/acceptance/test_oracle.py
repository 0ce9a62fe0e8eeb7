"""Whatever happens in a night, each job that was accepted ends once, with whole results or none."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from db import schema
from db.dialect import engine, reading
from tests import servers
from tests.deployment import Deployment, deployment
from tests.injected import simulated_jobs
from tests.night import Night
from tests.recorded import register_model
from tests.schedule import FAILS, Entry, draw
from tests.servers import Valkey

_SETTINGS = {
    "NIGHTSHELF_LEASE_S": "3",
    "NIGHTSHELF_STALL_TIMEOUT_S": "6",
    "NIGHTSHELF_STOP_GRACE_S": "3",
    "NIGHTSHELF_RETRY_BACKOFF_S": "0",
}

# Why a job may fail that was to fail: by its own doing, or because faults took its attempts.
_REASONS = (
    "this is no video",
    "RuntimeError: it went wrong",
    "the runner was killed by SIGABRT",
    "the job made no progress for 6 s",
    "the runner was killed by SIGKILL (by the system if it was out of memory)",
    "was lost: its lease ran out",
)

_ROWS = """
    SELECT jobs.id, jobs.kind, jobs.parent_id, jobs.state, jobs.error, jobs.attempt,
           jobs.lease_token,
           (SELECT COUNT(*) FROM trackings WHERE trackings.job_id = jobs.id) AS trackings,
           (SELECT COUNT(*) FROM tracks WHERE tracks.job_id = jobs.id) AS tracks,
           (SELECT COUNT(*) FROM class_counts WHERE class_counts.job_id = jobs.id) AS counts,
           (SELECT COUNT(*) FROM job_files WHERE job_files.job_id = jobs.id) AS files,
           (SELECT COUNT(*) FROM detection_sets WHERE detection_sets.job_id = jobs.id) AS sets,
           (SELECT COUNT(*) FROM job_attempts WHERE job_attempts.job_id = jobs.id) AS attempts,
           (SELECT COUNT(*) FROM job_attempts
            WHERE job_attempts.job_id = jobs.id AND outcome = 'succeeded') AS successes,
           (SELECT COUNT(*) FROM job_attempts
            WHERE job_attempts.job_id = jobs.id AND outcome IS NULL) AS unended
    FROM jobs WHERE jobs.kind <> 'register' ORDER BY jobs.id
"""


@contextmanager
def replayable(seed: int, night: Night) -> Iterator[None]:
    """Have a failure say what has to be known to make it happen again."""
    try:
        yield
    except BaseException as failure:
        failure.add_note("\n".join([f"with seed {seed}, this was done:", *night.story]))
        raise


def assert_each_job_ended_as_it_had_to(night: Night) -> None:
    with reading(night.deployed.database) as tx:
        rows = {row.id: row for row in tx.execute(text(_ROWS))}
    assert set(night.expected) <= set(rows), "jobs that were accepted are not there"
    for job, ends in night.expected.items():
        row, may_end = rows[job], {"failed" if ends == FAILS else "succeeded"}
        if job in night.cancelled:
            may_end.add("cancelled")
        assert row.state in may_end, f"job {job}: {row.state}: {row.error}"
        if row.state == "failed":
            assert any(reason in row.error for reason in _REASONS), f"job {job}: {row.error}"


def assert_each_has_one_whole_result_or_none(night: Night) -> None:
    with reading(night.deployed.database) as tx:
        for row in tx.execute(text(_ROWS)):
            succeeded = row.state == "succeeded"
            tracked, detected = succeeded and row.kind == "track", succeeded and row.kind != "track"
            found = (row.trackings, row.tracks, row.counts, row.files, row.sets, row.successes)
            assert found == (*[tracked] * 4, detected, succeeded), row
            assert (row.attempts, row.unended, row.lease_token) == (row.attempt, 0, None), row


def assert_the_files_are_those_of_the_rows(night: Night) -> None:
    with reading(night.deployed.database) as tx:
        wanted = {row.address: row.sha256 for row in tx.execute(text("SELECT * FROM job_files"))}
    home = night.deployed.home
    found = {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (home / "jobs").rglob("*")
        if path.is_file()
    }
    assert found == wanted


def assert_the_broker_is_empty(broker: Valkey, until: Callable[..., None]) -> None:
    with broker.client() as client:
        until(lambda: not any(client.llen(name) for name in client.scan_iter("nightshelf.*")), 30)


def executions(deployed: Deployment) -> str:
    """How many executions it took, and how they ended."""
    with reading(deployed.database) as tx:
        jobs = tx.scalar(text("SELECT COUNT(*) FROM jobs WHERE kind <> 'register'"))
        outcomes = Counter(
            tx.scalars(
                text(
                    "SELECT outcome FROM job_attempts JOIN jobs ON jobs.id = job_id"
                    " WHERE kind <> 'register'"
                )
            )
        )
    return f"{jobs} jobs, segments included; {outcomes.total()} executions: {dict(outcomes)}"


def outlive(
    made: Deployment,
    broker: Valkey,
    cluster: servers.PostgresCluster | None,
    seed: int,
    entries: list[Entry],
    timeout_s: float,
) -> None:
    """Let a schedule happen to a deployment, and look at what is left."""
    register_model(made.database, "products", ["apple"], made.home)
    night = Night(made, broker, cluster)
    with replayable(seed, night):
        night.live_through(entries)
        night.until_over(timeout_s)
        assert_the_broker_is_empty(broker, made.until)
        made.stop()
        assert_each_job_ended_as_it_had_to(night)
        assert_each_has_one_whole_result_or_none(night)
        assert_the_files_are_those_of_the_rows(night)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("seed", [1])
def test_every_job_of_a_short_bad_night_ends_once(
    home: Path,
    database_url: str,
    broker: Valkey,
    seed: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    entries = draw(seed, jobs=30, length_s=7, faults=8, longest_s=0.6)
    with deployment(home, database_url, broker.url, **_SETTINGS, **simulated_jobs()) as made:
        outlive(made, broker, None, seed, entries, timeout_s=120)
        with capsys.disabled():
            sys.stdout.write(f"\n{executions(made)}\n")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [2026])
def test_every_job_of_a_long_bad_night_ends_once(
    home: Path, broker: Valkey, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = draw(seed, jobs=300, length_s=420, faults=140, longest_s=2)
    with servers.postgres() as cluster:
        cluster.create("nightshelf")
        url = cluster.url("nightshelf")
        schema.upgrade(engine(url))
        with deployment(home, url, broker.url, **_SETTINGS, **simulated_jobs()) as made:
            outlive(made, broker, cluster, seed, entries, timeout_s=180)
            with capsys.disabled():
                sys.stdout.write(f"\n{executions(made)}\n")

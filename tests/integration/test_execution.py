"""A job from its claim to its rows, with a real runner and both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from db import job_creation, job_records, queue
from db.errors import Unreachable
from db.files import sha256_of
from db.job_records import Job
from db.jobs import Claimant
from db.model_tables import ModelClassRow, ModelRow
from db.settings import Settings
from db.specs import RegisterSpec
from db.states import State
from tests.deployment import WEIGHTS
from worker.execution import Execution, JobFailed


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """What rings next is tested elsewhere; here the broker is away, which must do no harm."""

    def away(*_: object) -> list[Job]:
        raise Unreachable("the broker does not answer")

    monkeypatch.setattr(queue, "ring_due", away)


@pytest.fixture
def execution(database: Engine, tmp_path: Path) -> Iterator[Execution]:
    config = Settings(home=tmp_path / "home", retry_backoff_s=0, runner_max_jobs=2)
    made = Execution(database, config, Claimant("w", "h", "cpu"))
    yield made
    made.close()


def enqueue(database: Engine, weights: Path, name: str = "products", **options: int) -> int:
    spec = RegisterSpec(name=name, weights=str(weights), weights_sha256=sha256_of(weights))
    with database.begin() as tx:
        return job_creation.create(tx, spec, max_attempts=options.get("max_attempts", 2))[0].id


def current(database: Engine, job_id: int) -> Job:
    with database.begin() as tx:
        return job_records.get(tx, job_id)


def test_a_job_leaves_its_rows_and_its_files(
    database: Engine, execution: Execution, tmp_path: Path
) -> None:
    job = enqueue(database, WEIGHTS)
    assert execution.run(job) is True
    assert current(database, job).state is State.SUCCEEDED
    with database.begin() as tx:
        model = tx.execute(select(ModelRow.__table__)).mappings().one()
        names = list(tx.scalars(select(ModelClassRow.name).order_by(ModelClassRow.class_id)))
    assert names == ["apple", "banana", "grape", "orange", "pineapple", "watermelon"]
    assert (tmp_path / "home" / model["address"]).read_bytes() == WEIGHTS.read_bytes()
    assert execution.run(job) is False, "a second message for it is dropped"


def test_bad_input_fails_the_job_at_once_and_leaves_nothing(
    database: Engine, execution: Execution, tmp_path: Path
) -> None:
    text = tmp_path / "notes.pt"
    text.write_text("no weights")
    job = enqueue(database, text)
    with pytest.raises(JobFailed, match="is no PyTorch checkpoint"):
        execution.run(job)
    failed = current(database, job)
    assert (failed.state, failed.attempt) == (State.FAILED, 1)
    with database.begin() as tx:
        [attempt] = job_records.attempts(tx, job)
        assert tx.execute(select(ModelRow.id)).all() == []
    assert "Traceback" in (attempt.traceback or "")
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []
    assert not (tmp_path / "home" / "jobs" / str(job)).exists()


def test_results_that_the_database_refuses_fail_the_job_and_none_is_written(
    database: Engine, execution: Execution
) -> None:
    with database.begin() as tx:
        first, _ = job_creation.create(
            tx,
            RegisterSpec(name="other", weights="/other.pt", weights_sha256="b" * 64),
            max_attempts=1,
        )
        tx.execute(
            ModelRow.__table__.insert().values(  # type: ignore[attr-defined]
                name="other",
                version=1,
                stage="production",
                sha256=sha256_of(WEIGHTS),
                address="models/b",
                task="detect",
                architecture="yolov8n",
                parameters=1,
                size_bytes=1,
                source="/other.pt",
                job_id=first.id,
                added_at=first.created_at,
            )
        )
    job = enqueue(database, WEIGHTS)
    with pytest.raises(JobFailed, match="is registered already, as other@1"):
        execution.run(job)
    assert current(database, job).state is State.FAILED
    with database.begin() as tx:
        assert tx.execute(select(ModelClassRow.name)).all() == []


def test_a_runner_is_kept_between_jobs_and_replaced_after_so_many(
    database: Engine, execution: Execution, tmp_path: Path
) -> None:
    pids = []
    for number in range(3):
        text = tmp_path / f"{number}.pt"
        text.write_text(f"no weights {number}")
        job = enqueue(database, text)
        runner = execution._fit_runner()
        pids.append(runner.pid)
        with pytest.raises(JobFailed):
            execution.run(job)
    assert pids[0] == pids[1]
    assert pids[2] != pids[0]


def test_a_worker_that_stops_takes_no_further_job(database: Engine, execution: Execution) -> None:
    job = enqueue(database, WEIGHTS)
    execution.stopping.set()
    assert execution.run(job) is False
    assert current(database, job).state is State.QUEUED

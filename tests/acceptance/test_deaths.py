"""What dies in the middle of a track job, and what becomes of the job."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import text

from db.dialect import reading
from db.states import State
from tests.deployment import Deployment

_RESULTS = {
    "trackings": "SELECT frames_processed, detections FROM trackings WHERE job_id = :job",
    "tracks": "SELECT * FROM tracks WHERE job_id = :job ORDER BY track",
    "class_counts": "SELECT * FROM class_counts WHERE job_id = :job ORDER BY class",
    "job_files": "SELECT name FROM job_files WHERE job_id = :job ORDER BY name",
}


def results(deployed: Deployment, job_id: int) -> dict[str, list[dict[str, Any]]]:
    """Every row and trajectory that a job left behind, but for the job's own number."""
    found: dict[str, list[dict[str, Any]]] = {}
    with reading(deployed.database) as tx:
        for table, query in _RESULTS.items():
            rows = tx.execute(text(query), {"job": job_id}).mappings()
            found[table] = [{k: v for k, v in row.items() if k != "job_id"} for row in rows]
        address = tx.scalar(
            text("SELECT address FROM job_files WHERE job_id = :job AND name LIKE 'traj%'"),
            {"job": job_id},
        )
    found["trajectories"] = pl.read_parquet(deployed.home / str(address)).to_dicts()
    return found


def undisturbed(deployed: Deployment, clip: Path) -> dict[str, list[dict[str, Any]]]:
    """The results of the same job when nothing happens to it, and nothing is kept from before."""
    shutil.rmtree(deployed.home / "detections")
    job = deployed.enqueue(clip, "--force")
    deployed.until_over(job)
    assert deployed.outcomes(job) == ["succeeded"]
    return results(deployed, job)


@pytest.mark.parametrize(
    ("database_url", "victim"),
    [
        ("sqlite", "runner"),
        pytest.param("postgresql", "worker", marks=pytest.mark.slow),
    ],
    indirect=["database_url"],
)
def test_a_job_whose_process_is_killed_succeeds_in_attempt_2_with_the_same_results(
    deployed: Deployment, clip: Path, victim: str
) -> None:
    job = deployed.enqueue(clip)
    deployed.until_under_way(job)
    runner = deployed.runner()
    if victim == "runner":
        runner.send_signal(signal.SIGKILL)
    else:
        [worker] = deployed.processes("celery --app worker.tasks")
        worker.send_signal(signal.SIGKILL)
    deployed.until(lambda: not runner.is_running() or runner.status() == "zombie", 30)
    deployed.until_over(job)
    assert deployed.job(job).state is State.SUCCEEDED
    lost = "failed" if victim == "runner" else "lost"
    assert deployed.outcomes(job) == [lost, "succeeded"]
    disturbed = results(deployed, job)
    assert disturbed["tracks"], "a comparison of nothing proves nothing"
    assert disturbed == undisturbed(deployed, clip)
    folders = [path.name for path in (deployed.home / "jobs" / str(job)).iterdir()]
    assert folders == ["attempt-2"], "the first attempt left nothing"


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_supervisor_that_is_killed_takes_everything_with_it(
    deployed: Deployment, clip: Path
) -> None:
    job = deployed.enqueue(clip)
    deployed.until_under_way(job)
    deployed.runner()
    [supervisor] = deployed.supervisors()
    supervisor.send_signal(signal.SIGKILL)
    deployed.until(
        lambda: (
            not deployed.processes("celery --app worker.tasks")
            and not deployed.processes("worker.runner")
        )
    )
    deployed.start("worker")
    deployed.until_over(job)
    assert deployed.job(job).state is State.SUCCEEDED


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_worker_told_to_stop_hands_its_job_back_at_no_cost(
    deployed: Deployment, clip: Path
) -> None:
    job = deployed.enqueue(clip)
    deployed.until_under_way(job)
    [supervisor] = deployed.supervisors()
    supervisor.send_signal(signal.SIGTERM)
    supervisor.wait(20)
    assert deployed.job(job).state is State.QUEUED
    assert deployed.outcomes(job) == ["handed back"]
    assert deployed.job(job).free_attempts == 1
    assert not deployed.processes("worker.runner")
    deployed.start("worker")
    deployed.until_over(job)
    assert deployed.outcomes(job) == ["handed back", "succeeded"]


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_runner_that_hangs_is_killed_and_the_job_tried_again(
    home: Path, clip: Path, deployed: Deployment
) -> None:
    deployed.environment["NIGHTSHELF_STALL_TIMEOUT_S"] = "15"
    [supervisor] = deployed.supervisors()
    supervisor.send_signal(signal.SIGTERM)
    supervisor.wait(20)
    deployed.start("worker")
    job = deployed.enqueue(clip)
    deployed.until_under_way(job)
    deployed.runner().send_signal(signal.SIGSTOP)
    deployed.until_over(job)
    assert deployed.outcomes(job) == ["failed", "succeeded"]
    [first, _] = deployed.cli_json("jobs", "show", str(job))["attempts"]
    assert first["error"] == "the job made no progress for 15 s"

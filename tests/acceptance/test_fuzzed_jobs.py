"""A folder of damaged videos: each job ends, with results or a reason, and the worker goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from db.states import State
from tests.deployment import Deployment
from tests.fuzzed import fuzzed, write_clips


def damaged(folder: Path, number: int) -> None:
    """Write so many damaged clips, the same at every run."""
    files: list[tuple[str, bytes]] = []

    @settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(fuzzed(write_clips(folder.parent)))
    def collect(file: tuple[str, bytes]) -> None:
        files.append(file)

    collect()
    for position, (suffix, content) in enumerate(files):
        (folder / f"{position}{suffix}").write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_every_job_on_a_damaged_video_ends_and_the_worker_is_the_same_as_before(
    deployed: Deployment, tmp_path: Path
) -> None:
    folder = tmp_path / "footage"
    folder.mkdir()
    damaged(folder, 40)
    [worker] = deployed.processes("celery --app worker.tasks")

    asked = deployed.cli_json("track", str(folder), "--model", "products", "--imgsz", "64")
    numbers = [job["id"] for job in asked if job["new"]]
    deployed.until_over(*numbers, timeout_s=240)

    jobs = [deployed.job(number) for number in numbers]
    assert {job.state for job in jobs} == {State.SUCCEEDED, State.FAILED}
    assert len(jobs) > 20
    for job in jobs:
        assert len(deployed.outcomes(job.id)) == 1, f"no second attempt helps: {job.error}"
        assert (job.error is None) == (job.state is State.SUCCEEDED)
        assert "\n" not in (job.error or "")
    assert [one.pid for one in deployed.processes("celery --app worker.tasks")] == [worker.pid]

"""A long video runs as many jobs, and gives what it gives as one."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db import job_records
from db.dialect import reading
from db.job_records import Job
from db.states import State
from tests.deployment import WEIGHTS, Deployment, deployment
from tests.servers import Valkey

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]


def segments(deployed: Deployment, job: int) -> list[Job]:
    with reading(deployed.database) as tx:
        return job_records.family(tx, job)


def tracks(deployed: Deployment, job: int) -> list[dict[str, Any]]:
    query = text("SELECT * FROM tracks WHERE job_id = :job ORDER BY track")
    with reading(deployed.database) as tx:
        rows = [dict(row) for row in tx.execute(query, {"job": job}).mappings()]
    return [{key: value for key, value in row.items() if key != "job_id"} for row in rows]


def test_a_video_in_segments_has_the_tracks_of_the_whole_and_repeats_none_that_is_finished(
    home: Path, database_url: str, broker: Valkey, clip: Path
) -> None:
    with deployment(home, database_url, broker.url, NIGHTSHELF_SEGMENT_S="3") as made:
        made.start("reconcile")
        worker = made.start("worker")
        made.cli("models", "add", str(WEIGHTS), "--name", "products")
        job = made.enqueue(clip)
        made.until(lambda: len(segments(made, job)) == 3)
        assert made.job(job).state is State.WAITING
        first = segments(made, job)[0]
        made.until(lambda: made.job(first.id).over)
        second = segments(made, job)[1]
        made.until(lambda: made.job(second.id).progress_done > 5)
        made.runner().send_signal(signal.SIGKILL)
        made.until_over(job)
        assert made.job(job).state is State.SUCCEEDED
        assert made.outcomes(job) == ["split", "succeeded"]
        assert [made.outcomes(one.id) for one in segments(made, job)] == [
            ["succeeded"],
            ["failed", "succeeded"],
            ["succeeded"],
        ]
        shown = made.cli_json("jobs", "show", str(job))
        assert [child["kind"] for child in shown["children"]] == ["detect"] * 3
        [listed] = made.cli_json("jobs", "list", "--kind", "track")
        assert listed["progress_done"] == listed["progress_total"] == 175

        worker.terminate()
        worker.wait(30)
        made.environment["NIGHTSHELF_SEGMENT_S"] = "600"
        for stored in (made.home / "detections").rglob("stored.json"):
            stored.unlink()
        made.start("worker")
        whole = made.enqueue(clip, "--force")
        made.until_over(whole)
        assert made.outcomes(whole) == ["succeeded"]
        assert tracks(made, job) == tracks(made, whole)
        assert tracks(made, whole)


def test_cancelling_a_video_cancels_its_segments(
    home: Path, database_url: str, broker: Valkey, clip: Path
) -> None:
    with deployment(home, database_url, broker.url, NIGHTSHELF_SEGMENT_S="3") as made:
        made.start("reconcile")
        made.start("worker")
        made.cli("models", "add", str(WEIGHTS), "--name", "products")
        job = made.enqueue(clip)
        made.until(lambda: len(segments(made, job)) == 3)
        made.cli("jobs", "cancel", str(job))
        made.until(lambda: all(one.over for one in segments(made, job)))
        assert made.job(job).state is State.CANCELLED
        assert {one.state for one in segments(made, job)[1:]} == {State.CANCELLED}

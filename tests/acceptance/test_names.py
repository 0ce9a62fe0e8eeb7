"""Files of any name, from the command line to the rows and back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db.dialect import reading
from db.states import State
from tests.clips import write_clip
from tests.deployment import REPOSITORY, WEIGHTS, Deployment, deployment
from tests.servers import Valkey

NAMES = [
    "aisle 4.mp4",
    'it\'s "new".mp4',
    "🍎 apfel.mp4",
    "e\u0301t\u00e9.mp4",  # decomposed and composed: no two of them the same to a file system
    "two\nlines.mp4",
    "2025-01-01 00:00:00 ERROR forged\n2025-01-01 00:00:00 INFO log.mp4",
    "-rf.mp4",
    "100%s %(message)s {0} [red].mp4",
    "back\\slash\\n.mp4",
    "$(touch owned) `touch owned`; touch owned.mp4",
    "'; DROP TABLE jobs; --.mp4",
    "\x1b[31m\x07red.mp4",
    "x" * 251 + ".mp4",
]
NOT_UTF8 = os.fsdecode(b"aisle-\xff.mp4")


@pytest.fixture
def site(home: Path, database_url: str, broker: Valkey) -> Iterator[Deployment]:
    """A deployment whose log tells all, with a registered model and a worker."""
    with deployment(home, database_url, broker.url, NIGHTSHELF_LOG_LEVEL="DEBUG") as made:
        made.start("worker")
        made.cli("models", "add", str(WEIGHTS), "--name", "products")
        yield made


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """A folder of clips of these names, each of another length, and so of another content."""
    folder = tmp_path / "footage"
    folder.mkdir()
    for number, name in enumerate([*NAMES, NOT_UTF8], start=2):
        write_clip(folder / "clip.mp4", [(number, 30)])
        (folder / "clip.mp4").rename(folder / name)
    return folder


def run(site: Deployment, folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """`nightshelf ARGUMENTS` as typed in this folder."""
    return subprocess.run(
        [sys.executable, "-m", "producer", *arguments],
        env=site.environment | {"PYTHONPATH": str(REPOSITORY)},
        cwd=folder,
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_a_name_is_the_same_from_the_command_line_to_the_reports(
    site: Deployment, footage: Path
) -> None:
    asked = run(
        site, footage, "track", ".", "--model", "products", "--imgsz", "64", "--json", "--wait"
    )

    # The one that no row can hold is told of, and keeps none of the others from being tracked.
    assert asked.returncode == 0, asked.stderr
    [line] = asked.stderr.decode().splitlines()
    assert line.startswith("nightshelf: left out: the name of '")
    assert line.endswith("aisle-\\udcff.mp4' is not UTF-8: rename the file")
    jobs = {job["spec"]["video"]: job["id"] for job in json.loads(asked.stdout)}
    assert set(jobs) == {str(footage / name) for name in NAMES}

    with reading(site.database) as tx:
        rows = tx.execute(
            text(
                "SELECT trackings.job_id, videos.address, videos.frames_decoded"
                " FROM trackings JOIN videos ON videos.id = trackings.video_id"
            )
        ).all()
    assert {row.address: row.job_id for row in rows} == jobs
    frames = {str(footage / name): number for number, name in enumerate(NAMES, start=2)}
    assert {row.address: row.frames_decoded for row in rows} == frames

    awkward = str(footage / NAMES[4])
    job = str(jobs[awkward])
    assert site.cli_json("jobs", "show", job)["spec"]["video"] == awkward
    assert awkward in {row["spec"].get("video") for row in site.cli_json("jobs", "list")}
    assert site.cli_json("report", "tracks", job)["totals"]["video"] == awkward

    # Named itself, by somebody who stands beside it.
    again = run(site, footage, "track", "--model", "products", "--imgsz", "64", "--", "-rf.mp4")
    assert again.stdout.decode() == f"job {jobs[str(footage / '-rf.mp4')]}  -rf.mp4  already done\n"
    assert not list(footage.glob("owned*"))
    # A line of the log begins with its time, unless it is of a traceback.
    said = (site.home / "log").read_text()
    assert "ERROR forged\n" not in said
    assert "\x1b" not in said

    _check_errors(site, footage.parent)


def _check_errors(site: Deployment, folder: Path) -> None:
    """An error about a name is one line."""
    for name in ("no\nsuch.mp4", "no\nsuch*.mp4"):
        gone = run(site, folder, "track", name, "--model", "products")
        assert gone.returncode == 1
        assert gone.stderr.count(b"\n") == 1
        assert rb"no\nsuch" in gone.stderr
    (folder / "only").mkdir()
    (folder / "only" / NOT_UTF8).touch()
    refused = run(site, folder, "track", "only", "--model", "products")
    assert refused.returncode == 1, "a folder of which nothing can be taken stands for nothing"
    assert refused.stderr.count(b"\n") == 1
    text_file = folder / "two\nlines.mp4"
    text_file.write_text("no video")
    run(site, folder, "track", str(text_file), "--model", "products", "--wait")
    [job] = site.cli_json("jobs", "list", "--limit", "1")
    assert job["state"] == State.FAILED
    assert "\n" not in job["error"]
    assert r"two\nlines.mp4 is no video in a known container" in job["error"]

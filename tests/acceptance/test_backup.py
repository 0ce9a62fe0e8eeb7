"""A backup as docs/deploy.md makes it, put back beside nothing: all is there, and work goes on."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from db.states import State
from tests.deployment import Deployment, deployment
from tests.servers import PostgresCluster, Valkey, absent, valkey

# What a restored deployment cannot do without. `detections` may be made anew.
_FOLDERS = ("models", "jobs")


@pytest.fixture
def other_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ns-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def other_broker() -> Iterator[Valkey]:
    """A broker that knows nothing of what was queued."""
    with valkey() as server:
        yield server


def programs(name: str) -> str:
    """Where one of PostgreSQL's client programs is."""
    found = shutil.which(name)
    if found is None:
        absent(f"no {name} on this machine")
    assert found is not None
    return found


def back_up(deployed: Deployment, cluster: PostgresCluster | None, backup: Path) -> None:
    """The database first: a file that a row of it points to is whole, and is not changed again."""
    url = make_url(deployed.environment["NIGHTSHELF_DATABASE_URL"])
    if cluster is None:
        with (
            closing(sqlite3.connect(str(url.database))) as source,
            closing(sqlite3.connect(backup / "nightshelf.db")) as target,
        ):
            source.backup(target)
    else:
        place = cluster.conninfo(str(url.database))
        command = [programs("pg_dump"), "--format=custom", f"--file={backup / 'nightshelf.dump'}"]
        subprocess.run([*command, place], check=True)
    for folder in _FOLDERS:
        shutil.copytree(deployed.home / folder, backup / folder)


def put_back(backup: Path, cluster: PostgresCluster | None, home: Path) -> str:
    """Put a backup back; returns the address of the database."""
    for folder in _FOLDERS:
        shutil.copytree(backup / folder, home / folder)
    if cluster is None:
        with (
            closing(sqlite3.connect(backup / "nightshelf.db")) as source,
            closing(sqlite3.connect(home / "nightshelf.db")) as target,
        ):
            source.backup(target)
        return f"sqlite:///{home / 'nightshelf.db'}"
    cluster.create("put_back")
    command = [programs("pg_restore"), "--exit-on-error", "--no-owner", "--single-transaction"]
    place = f"--dbname={cluster.conninfo('put_back')}"
    subprocess.run([*command, place, str(backup / "nightshelf.dump")], check=True)
    return cluster.url("put_back")


def reports(deployed: Deployment, job: int) -> list[str]:
    """All that can be asked of a finished job, whichever home its files lie in."""
    shown = json.dumps(deployed.cli_json("jobs", "show", str(job)))
    return [
        *(json.dumps(deployed.cli_json("report", name, str(job))) for name in ("tracks", "counts")),
        shown.replace(str(deployed.home), "HOME"),
        json.dumps(deployed.cli_json("models", "show", "products")),
    ]


@pytest.mark.slow
def test_after_a_restore_reports_are_equal_and_what_was_queued_runs(
    request: pytest.FixtureRequest,
    deployed: Deployment,
    clip: Path,
    tmp_path: Path,
    other_home: Path,
    other_broker: Valkey,
) -> None:
    on_postgres = deployed.database.dialect.name == "postgresql"
    cluster = request.getfixturevalue("postgres") if on_postgres else None
    done = deployed.enqueue(clip)
    deployed.until_over(done)
    [worker] = deployed.supervisors()
    worker.terminate()
    worker.wait(30)
    queued = deployed.enqueue(clip, "--stride", "3")
    before = reports(deployed, done)
    back_up(deployed, cluster, tmp_path)
    deployed.cli("jobs", "cancel", str(queued))  # what happens after the backup is lost with it

    address = put_back(tmp_path, cluster, other_home)
    try:
        with deployment(other_home, address, other_broker.url) as restored:
            assert "is up to date" in restored.cli("db", "upgrade")
            assert reports(restored, done) == before
            assert restored.job(queued).state is State.QUEUED
            restored.start("worker")
            restored.start("reconcile")
            restored.until_over(queued)
            assert restored.outcomes(queued) == ["succeeded"]
            assert restored.cli_json("report", "counts", str(queued))["counts"]
            for file in restored.cli_json("jobs", "show", str(done))["files"]:
                assert (other_home / file["address"]).stat().st_size == file["size_bytes"]
    finally:
        if cluster is not None:
            cluster.drop("put_back")

"""Disks that fill or turn read-only, and an object store that fails now and then."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from sqlalchemy import text

from db.dialect import reading
from tests import servers
from tests.deployment import WEIGHTS, Deployment, deployment
from tests.s3_double import S3Double, s3_double
from tests.servers import Valkey

pytestmark = pytest.mark.slow


class SmallDisk:
    """A file system of 24 MiB, which can be filled and turned read-only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        with (self.folder / "ballast").open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                return

    def empty(self) -> None:
        (self.folder / "ballast").unlink()

    def forbid(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True)

    def allow(self) -> None:
        subprocess.run(["mount", "-o", "remount,rw", str(self.folder)], check=True)


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with tempfile.TemporaryDirectory(prefix="ns-") as name:
        command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", name]
        if os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
            servers.absent("no file system may be mounted here")
        try:
            yield SmallDisk(Path(name))
        finally:
            subprocess.run(["umount", "--lazy", name], check=True)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("break_it", "mend_it", "reason"),
    [
        (SmallDisk.fill, SmallDisk.empty, "No space left on device"),
        (SmallDisk.forbid, SmallDisk.allow, "Read-only file system"),
    ],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_nothing_is_a_reason_and_the_job_succeeds_once_it_does(
    home: Path,
    database_url: str,
    broker: Valkey,
    clip: Path,
    disk: SmallDisk,
    break_it: Callable[[SmallDisk], None],
    mend_it: Callable[[SmallDisk], None],
    reason: str,
) -> None:
    settings = {"NIGHTSHELF_HOME": str(disk.folder), "NIGHTSHELF_MAX_ATTEMPTS": "50"}
    with deployment(home, database_url, broker.url, **settings) as made:
        made.start("worker")
        made.start("reconcile")
        made.cli("models", "add", str(WEIGHTS), "--name", "products")
        break_it(disk)
        job = made.enqueue(clip)
        made.until(lambda: "failed" in made.outcomes(job))
        assert reason in (made.job(job).error or "")
        assert files(made) == {}
        mend_it(disk)
        made.until_over(job)
        assert made.outcomes(job)[-1] == "succeeded"
        [(address, sha256)] = files(made).items()
        assert hashlib.sha256((disk.folder / address).read_bytes()).hexdigest() == sha256
        [attempt] = (disk.folder / "jobs" / str(job)).iterdir()
        assert address.startswith(f"jobs/{job}/{attempt.name}/")


def files(deployed: Deployment) -> dict[str, str]:
    """Every file that a row points to, with its sha256."""
    with reading(deployed.database) as tx:
        return {
            row.address: row.sha256
            for row in tx.execute(text("SELECT address, sha256 FROM job_files"))
        }


@pytest.fixture
def s3() -> Iterator[S3Double]:
    with s3_double() as server:
        yield server


def objects(s3: S3Double) -> dict[str, str]:
    """Every object of the store, without its prefix, with its sha256."""
    client: Any = boto3.client(
        "s3",
        endpoint_url=s3.environment["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id="reader",
        aws_secret_access_key="hunter2-of-s3",
        region_name="us-east-1",
    )
    listing = client.list_objects_v2(Bucket="night").get("Contents", [])
    return {
        one["Key"].removeprefix("shelf/"): hashlib.sha256(
            client.get_object(Bucket="night", Key=one["Key"])["Body"].read()
        ).hexdigest()
        for one in listing
    }


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_machines_that_share_nothing_but_a_failing_object_store_finish_a_split_job(
    database_url: str, broker: Valkey, clip: Path, s3: S3Double
) -> None:
    """Two machines with a home each; the third, where a person sits, has no worker."""
    settings = s3.environment | {
        "NIGHTSHELF_FILES_URL": s3.url,
        "NIGHTSHELF_SEGMENT_S": "2",
        "NIGHTSHELF_MAX_ATTEMPTS": "20",
    }
    with (
        tempfile.TemporaryDirectory(prefix="ns-") as one,
        tempfile.TemporaryDirectory(prefix="ns-") as two,
        tempfile.TemporaryDirectory(prefix="ns-") as desk,
        deployment(Path(one), database_url, broker.url, **settings) as first,
        deployment(Path(two), database_url, broker.url, **settings) as second,
        deployment(Path(desk), database_url, broker.url, **settings) as person,
    ):
        for machine in (first, second):
            machine.start("worker")
        first.start("reconcile")
        person.cli("models", "add", str(WEIGHTS), "--name", "products")
        turns, lock = itertools.count(1), threading.Lock()

        def now_and_then(method: str, path: str) -> bool:
            with lock:
                return next(turns) % 4 == 0

        s3.fails = now_and_then
        job = person.enqueue(clip, "--annotate")
        first.until_over(job, timeout_s=240)
        s3.fails = lambda method, path: False
        assert person.job(job).error is None
        assert person.outcomes(job)[-1] == "succeeded"
        segments = person.cli_json("jobs", "show", str(job))["children"]
        assert len(segments) > 1
        workers = {attempt["worker"] for attempt in attempts(person, segments)}
        assert len(workers) == 2, "both machines had a part in it"
        kept, wanted = objects(s3), files(person)
        assert sorted(address.rpartition("/")[2] for address in wanted) == [
            "annotated.mp4",
            "trajectories.parquet",
        ]
        assert {at: kept[at] for at in kept if at.startswith("jobs/")} == wanted
        assert f"{s3.url}/" in person.cli("jobs", "show", str(job))
        for machine in (one, two):
            assert not (Path(machine) / "jobs" / str(job)).exists(), "the copies are gone"


def attempts(deployed: Deployment, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    shown = [deployed.cli_json("jobs", "show", str(job["id"])) for job in jobs]
    return [attempt for one in shown for attempt in one["attempts"]]

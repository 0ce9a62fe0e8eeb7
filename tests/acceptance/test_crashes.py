"""Processes that kill themselves at each step between a file that is written and its row."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import text

from db.dialect import engine, reading
from demo.belt import belt
from demo.render import truth_path, write_clip
from tests.deployment import WEIGHTS, Deployment, deployment
from tests.injected import crash_at, enqueue, simulated_jobs, work
from tests.recorded import register_model
from tests.servers import Valkey

pytestmark = pytest.mark.slow


def addresses(deployed: Deployment) -> dict[str, str]:
    """Every file that a row points to, with its sha256."""
    query = "SELECT address, sha256 FROM job_files UNION ALL SELECT address, sha256 FROM models"
    with reading(deployed.database) as tx:
        return {row.address: row.sha256 for row in tx.execute(text(query))}


def kept(deployed: Deployment) -> dict[str, str]:
    """Every file of jobs and models that is there, with its sha256."""
    return {
        str(path.relative_to(deployed.home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for room in ("jobs", "models")
        for path in (deployed.home / room).rglob("*")
        if path.is_file()
    }


def assert_rows_and_files_agree(deployed: Deployment) -> None:
    assert kept(deployed) == addresses(deployed)
    sets = [path for path in (deployed.home / "detections").glob("??/*/*") if path.is_dir()]
    assert all((folder / "stored.json").exists() for folder in sets)


def start(deployed: Deployment) -> None:
    deployed.start("worker")
    deployed.start("reconcile")


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a checkout belt."""
    path = tmp_path_factory.mktemp("clips") / "belt.mp4"
    write_clip(belt(5, 1.0), path, truth_path(path))
    return path


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("module", "function", "moment"),
    [
        ("worker.jobs.register", "keep", "before"),
        ("worker.jobs.register", "keep", "after"),
        ("worker.detection.store", "DetectionWriter._write_part", "after"),
        ("worker.detection.store", "DetectionWriter.commit", "after"),
        ("worker.jobs.track", "run", "after"),
    ],
)
def test_a_runner_that_dies_between_file_and_row_leaves_no_half_of_anything(
    home: Path,
    database_url: str,
    broker: Valkey,
    short_clip: Path,
    module: str,
    function: str,
    moment: str,
) -> None:
    once = home / "crashed"
    faults = crash_at(module, function, moment, once)
    with deployment(home, database_url, broker.url, **faults) as made:
        start(made)
        made.cli("models", "add", str(WEIGHTS), "--name", "products")
        job = made.enqueue(short_clip)
        made.until_over(job)
        assert once.exists(), "nothing crashed"
        in_register = module == "worker.jobs.register"
        assert made.outcomes(1) == (["failed", "succeeded"] if in_register else ["succeeded"])
        assert made.outcomes(job) == (["succeeded"] if in_register else ["failed", "succeeded"])
        assert_rows_and_files_agree(made)


@pytest.mark.parametrize(
    ("database_url", "module", "function", "moment", "outcomes"),
    [
        ("sqlite", "worker.execution", "Execution._finish", "before", ["lost", "succeeded"]),
        ("postgresql", "worker.transfer", "publish", "after", ["lost", "succeeded"]),
        ("sqlite", "db.jobs", "finish", "after", ["lost", "succeeded"]),
        ("sqlite", "db.results", "write", "after", ["lost", "succeeded"]),
        ("postgresql", "db.results", "write", "after", ["lost", "succeeded"]),
        ("postgresql", "worker.execution", "Execution._finish", "after", ["succeeded"]),
    ],
    indirect=["database_url"],
)
def test_a_worker_that_dies_between_file_and_row_leaves_no_half_of_anything(
    home: Path,
    database_url: str,
    broker: Valkey,
    module: str,
    function: str,
    moment: str,
    outcomes: list[str],
) -> None:
    once = home / "crashed"
    faults = simulated_jobs() | crash_at(module, function, moment, once)
    register_model(engine(database_url), "products", ["apple"], home)
    with deployment(home, database_url, broker.url, **faults) as made:
        start(made)
        first, second = enqueue(made, work(home, "first"), work(home, "second"))
        made.until_over(first, second)
        assert once.exists(), "nothing crashed"
        assert sorted([made.outcomes(first), made.outcomes(second)]) == sorted(
            [outcomes, ["succeeded"]]
        )
        with reading(made.database) as tx:
            assert tx.scalar(text("SELECT COUNT(*) FROM trackings")) == 2
        assert_rows_and_files_agree(made)

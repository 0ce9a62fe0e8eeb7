"""Trainings in a deployment that is disturbed: each epoch once in the table, and one model."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from sqlalchemy import text

from db.dialect import engine, reading
from db.layout import model_address
from db.specs import RegisterSpec
from db.states import State
from tests.deployment import WEIGHTS, Deployment, deployment
from tests.injected import Pause, crash_at
from tests.labelled import write_dataset
from tests.recorded import checkpoint, finished
from tests.s3_double import S3Double, s3_double
from tests.servers import Valkey
from worker.ultralytics_env import ultralytics_environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small pictures: an epoch takes a tenth of a second."""
    return write_dataset(tmp_path_factory.mktemp("data") / "set", {"train": 8, "val": 4})


def train(made: Deployment, data: Path, *options: str, epochs: int = 3, base: str = "") -> int:
    arguments = ("--base", base or "products", "--name", "fruit", "--epochs", str(epochs))
    small = ("--imgsz", "64", "--batch", "2", "--patience", "0", "--set", "workers=0")
    job = made.cli_json("train", str(data), *arguments, *small, *options)
    assert job["new"], f"job {job['id']} does the same"
    return int(job["id"])


def rows(made: Deployment, query: str) -> list[dict[str, Any]]:
    with reading(made.database) as tx:
        return [dict(row) for row in tx.execute(text(query)).mappings()]


def epochs(made: Deployment, job: int) -> list[tuple[int, int]]:
    """Number and attempt of each epoch in the table."""
    query = f"SELECT epoch, attempt FROM training_epochs WHERE job_id = {job} ORDER BY epoch"
    return [(row["epoch"], row["attempt"]) for row in rows(made, query)]


def kept(made: Deployment, *rooms: str) -> dict[str, str]:
    """Every file in these rooms of the home, with its sha256."""
    return {
        str(path.relative_to(made.home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for room in rooms
        for path in (made.home / room).rglob("*")
        if path.is_file()
    }


def pointed_to(made: Deployment) -> dict[str, str]:
    """Every file that a row points to, with its sha256."""
    query = (
        "SELECT address, sha256 FROM job_files UNION ALL SELECT address, sha256 FROM models UNION "
        "ALL SELECT checkpoint, checkpoint_sha256 FROM training_epochs WHERE checkpoint IS NOT NULL"
    )
    return {row["address"]: row["sha256"] for row in rows(made, query)}


def assert_it_was_trained_once(made: Deployment, job: int, last: int = 3) -> None:
    assert made.job(job).state is State.SUCCEEDED, made.job(job).error
    assert [epoch for epoch, _ in epochs(made, job)] == list(range(1, last + 1))
    [model] = rows(made, f"SELECT * FROM models WHERE job_id = {job}")
    assert (model["name"], model["version"], model["stage"]) == ("fruit", 1, "candidate")
    [row] = rows(made, f"SELECT * FROM trainings WHERE job_id = {job}")
    assert (row["model_id"], row["epochs_run"]) == (model["id"], last)
    assert kept(made, "jobs", "models", "checkpoints") == pointed_to(made)


def register(home: Path, database_url: str) -> None:
    """Register the demo's model, as a worker would have done it."""
    sha256 = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    kept_at = home / model_address(sha256)
    kept_at.parent.mkdir(parents=True)
    shutil.copyfile(WEIGHTS, kept_at)
    spec = RegisterSpec(name="products", weights=str(WEIGHTS), weights_sha256=sha256)
    finished(engine(database_url), spec, checkpoint("apple", "banana", "orange"))


@pytest.fixture
def pause(home: Path) -> Pause:
    """The runner pauses once, when its first epoch is done."""
    return Pause("worker.training.following:Following._keep:after", home / "paused")


@pytest.fixture
def pausing(home: Path, database_url: str, broker: Valkey, pause: Pause) -> Iterator[Deployment]:
    """A deployment whose first training pauses after its first epoch."""
    register(home, database_url)
    with deployment(home, database_url, broker.url, **pause.settings) as made:
        made.start("reconcile")
        made.start("worker")
        yield made


def until_epoch_2_has_begun(made: Deployment, pause: Pause, job: int) -> None:
    made.until(lambda: pause.begun and epochs(made, job) == [(1, 1)])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_runner_that_is_killed_during_epoch_2_goes_on_with_epoch_2(
    pausing: Deployment, pause: Pause, data: Path
) -> None:
    job = train(pausing, data)
    until_epoch_2_has_begun(pausing, pause, job)
    pausing.runner().send_signal(signal.SIGKILL)
    pausing.until_over(job)
    assert pausing.outcomes(job) == ["failed", "succeeded"]
    assert epochs(pausing, job) == [(1, 1), (2, 2), (3, 2)]
    assert_it_was_trained_once(pausing, job)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_worker_told_to_stop_hands_a_training_back_and_the_next_goes_on(
    pausing: Deployment, pause: Pause, data: Path
) -> None:
    job = train(pausing, data, epochs=30)
    until_epoch_2_has_begun(pausing, pause, job)
    [supervisor] = pausing.supervisors()
    supervisor.send_signal(signal.SIGTERM)
    pausing.until(lambda: "Warm shutdown" in (pausing.home / "log").read_text())
    pause.end()
    supervisor.wait(30)
    assert pausing.outcomes(job) == ["handed back"]
    assert pausing.job(job).free_attempts == 1
    done = len(epochs(pausing, job))
    assert done < 30, "it was not done yet"
    assert len(kept(pausing, "checkpoints")) in (1, 2), "of the last epoch, and of the best"
    pausing.start("worker")
    pausing.until_over(job)
    assert pausing.outcomes(job) == ["handed back", "succeeded"]
    assert epochs(pausing, job) == [(one, 1 if one <= done else 2) for one in range(1, 31)]
    assert_it_was_trained_once(pausing, job, last=30)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_training_that_was_cancelled_goes_on_when_it_is_retried(
    pausing: Deployment, pause: Pause, data: Path
) -> None:
    job = train(pausing, data, epochs=30)
    until_epoch_2_has_begun(pausing, pause, job)
    pausing.cli("jobs", "cancel", str(job))
    pause.end()
    pausing.until_over(job)
    assert pausing.outcomes(job) == ["cancelled"]
    done = len(epochs(pausing, job))
    assert done < 30, "it was not done yet"
    assert kept(pausing, "checkpoints", "jobs", "models") == pointed_to(pausing)
    pausing.cli("jobs", "retry", str(job))
    pausing.until_over(job)
    assert [attempt for _, attempt in epochs(pausing, job)] == [1] * done + [2] * (30 - done)
    assert_it_was_trained_once(pausing, job, last=30)


@pytest.mark.parametrize(
    ("database_url", "module", "function", "moment", "first"),
    [
        ("sqlite", "worker.training.checkpoints", "Keeping.write", "after", []),
        ("postgresql", "worker.training.checkpoints", "Keeping.clear", "before", [(1, 1)]),
        ("postgresql", "db.results", "write", "after", [(1, 1), (2, 1), (3, 1)]),
    ],
    indirect=["database_url"],
)
def test_a_worker_that_dies_between_file_and_row_leaves_no_epoch_twice_and_none_out(
    home: Path,
    database_url: str,
    broker: Valkey,
    data: Path,
    module: str,
    function: str,
    moment: str,
    first: list[tuple[int, int]],
) -> None:
    register(home, database_url)
    once = home / "crashed"
    with deployment(
        home, database_url, broker.url, **crash_at(module, function, moment, once)
    ) as made:
        made.start("reconcile")
        made.start("worker")
        job = train(made, data)
        made.until_over(job)
        assert once.exists(), "nothing crashed"
        assert made.outcomes(job) == ["lost", "succeeded"]
        assert [one for one in epochs(made, job) if one[1] == 1] == first
        assert_it_was_trained_once(made, job)


@pytest.fixture
def s3() -> Iterator[S3Double]:
    with s3_double() as server:
        yield server


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_another_machine_goes_on_from_what_is_kept_in_an_object_store(
    home: Path, database_url: str, broker: Valkey, data: Path, s3: S3Double, pause: Pause
) -> None:
    settings = s3.environment | {"NIGHTSHELF_FILES_URL": s3.url}
    with (
        tempfile.TemporaryDirectory(prefix="ns-") as elsewhere,
        deployment(home, database_url, broker.url, **settings, **pause.settings) as first,
        deployment(Path(elsewhere), database_url, broker.url, **settings) as second,
    ):
        second.start("reconcile")
        worker = first.start("worker")
        first.cli("models", "add", str(WEIGHTS), "--name", "products")
        job = train(first, data)
        until_epoch_2_has_begun(first, pause, job)
        [celery] = first.processes("celery --app worker.tasks")
        for process in (celery, worker):
            process.send_signal(signal.SIGKILL)
        first.until(lambda: not first.processes("worker.runner"))
        second.start("worker")
        second.until_over(job)
        assert second.outcomes(job) == ["lost", "succeeded"]
        assert epochs(second, job) == [(1, 1), (2, 2), (3, 2)]
        [model] = rows(second, f"SELECT sha256 FROM models WHERE job_id = {job}")
        assert model["sha256"] in {key.split("/")[1] for key in stored(s3, "models/")}
        assert stored(s3, "checkpoints/") == set(), "the training is done"
        left = {f"jobs/{job}/attempt-2/{name}" for name in ("last.pt", "results.csv")}
        assert left < stored(s3, f"jobs/{job}/")
        assert not kept(second, "checkpoints", "jobs"), "the copies are gone"


def stored(s3: S3Double, prefix: str) -> set[str]:
    """The addresses that the store holds."""
    client: Any = boto3.client(
        "s3",
        endpoint_url=s3.environment["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id="reader",
        aws_secret_access_key="hunter2-of-s3",
        region_name="us-east-1",
    )
    found = client.list_objects_v2(Bucket="night", Prefix=f"shelf/{prefix}").get("Contents", [])
    return {one["Key"].removeprefix("shelf/") for one in found}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_base_that_is_a_file_is_registered_first_and_a_training_is_gone_on_with(
    home: Path, database_url: str, broker: Valkey, data: Path
) -> None:
    with deployment(home, database_url, broker.url) as made:
        made.start("reconcile")
        made.start("worker")
        missing = made.cli("train", str(data), "--base", "yolov8n.pt", "--name", "fruit", code=1)
        assert missing.startswith("nightshelf: no such file: yolov8n.pt (nothing is downloaded")
        job = train(made, data, epochs=1, base=str(WEIGHTS))
        [child] = made.cli_json("jobs", "show", str(job))["children"]
        assert child["kind"] == "register"
        made.until_over(job)
        assert_it_was_trained_once(made, job, last=1)
        [row] = rows(made, f"SELECT * FROM trainings WHERE job_id = {job}")
        assert row["base"] == "products@1"

        extend = ("train", str(data), "--name", "fruit", "--extend", "2", "--base")
        refused = made.cli(*extend, "products@1", code=1)
        assert "no training here made products@1" in refused
        assert "leave out epochs" in made.cli(*extend, "fruit@1", "--epochs", "3", code=1)
        shown = made.cli_json(*extend, "fruit@1", "--wait")
        assert [one["epoch"] for one in shown["epochs"]] == [2, 3]
        assert (shown["model"], shown["base"]) == ("fruit@2", "fruit@1")
        assert shown["facts"]["extends_job_id"] == job
        assert shown["facts"]["epochs_run"] == 2

        other = made.home / "classes-cls.pt"
        write_classifier(other)
        failed = train(made, data, base=str(other))
        made.until_over(failed)
        assert "is a YOLO model for classify; only those for detect" in str(made.job(failed).error)
        assert made.outcomes(failed) == []


def write_classifier(path: Path) -> None:
    """A checkpoint of another task."""
    script = "import sys; from ultralytics import YOLO; YOLO('yolov8n-cls.yaml').save(sys.argv[1])"
    environment = os.environ | ultralytics_environment(path.parent)
    subprocess.run([sys.executable, "-c", script, str(path)], env=environment, check=True)

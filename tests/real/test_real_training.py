"""A training on real images: that of `YOLO.train`, its rows, and one that is killed."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text

from db.dataset_files import find_dataset, sha256_of_dataset
from db.dialect import reading
from db.files import sha256_of
from db.layout import model_address
from db.specs import TrainSpec
from db.states import State
from db.training_results import EpochFacts
from tests.deployment import Deployment, deployment
from tests.quiet import quiet_ultralytics
from tests.servers import Valkey
from worker.context import Context
from worker.jobs import train

pytestmark = pytest.mark.slow

ARGUMENTS: dict[str, Any] = {"imgsz": 160, "batch": 8, "seed": 2}
SUBSET = {"train": 45, "val": 15}


@pytest.fixture(scope="module")
def subset(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty images of the fruit, in a folder that can be written to."""
    source, root = shared / "data" / "fruit", tmp_path_factory.mktemp("data") / "fruit"
    for split, count in SUBSET.items():
        for room in ("images", "labels"):
            (root / room / split).mkdir(parents=True)
        for image in sorted((source / "images" / split).iterdir())[:count]:
            label = source / "labels" / split / f"{image.stem}.txt"
            shutil.copyfile(image, root / "images" / split / image.name)
            if label.exists():
                shutil.copyfile(label, root / "labels" / split / label.name)
    names = yaml.safe_load((source / "data.yaml").read_text())["names"]
    content = {"train": "images/train", "val": "images/val", "names": names}
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    return root / "data.yaml"


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[None]:
    with quiet_ultralytics(tmp_path / "ultralytics"):
        yield


def ours(shared: Path, data: Path, home: Path, epochs: int) -> list[EpochFacts]:
    """What a job says of each epoch."""
    weights = shared / "weights" / "yolov8n.pt"
    digest = sha256_of(weights)
    kept = home / model_address(digest)
    kept.parent.mkdir(parents=True)
    shutil.copyfile(weights, kept)
    folder = home / "attempt-1"
    folder.mkdir()
    spec = TrainSpec(
        name="fruit",
        base="yolov8n@1",
        base_sha256=digest,
        dataset="fruit",
        data=str(data),
        dataset_sha256=sha256_of_dataset(find_dataset(data), lambda done, total: None),
        epochs=epochs,
        **ARGUMENTS,
    )
    seen: list[EpochFacts] = []
    train.run(spec, Context(home, folder, milestone=lambda facts, name: seen.append(facts)))
    return seen


def theirs(shared: Path, data: Path, folder: Path, epochs: int) -> list[dict[str, Any]]:
    """What `YOLO.train` says of each epoch, with the same arguments."""
    from ultralytics.models import YOLO

    copy = folder / "copy"
    shutil.copytree(data.parent, copy)
    content = yaml.safe_load(data.read_text()) | {"path": str(copy)}
    (copy / "data.yaml").write_text(yaml.safe_dump(content))
    seen: list[dict[str, Any]] = []

    def look(trainer: Any) -> None:
        if trainer.epoch < trainer.epochs:  # not the final validation
            values = {**trainer.tloss, **trainer.metrics}
            seen.append({name: float(value) for name, value in values.items()})

    model = YOLO(shared / "weights" / "yolov8n.pt")
    model.add_callback("on_fit_epoch_end", look)
    model.train(
        data=str(copy / "data.yaml"),
        epochs=epochs,
        device="cpu",
        workers=0,
        plots=False,
        verbose=False,
        project=str(folder / "runs"),
        **ARGUMENTS,
    )
    return seen


def test_each_epoch_is_that_of_yolo_train(
    shared: Path, subset: Path, quiet: None, tmp_path: Path
) -> None:
    found = ours(shared, subset, tmp_path / "home", epochs=2)
    expected = theirs(shared, subset, tmp_path, epochs=2)
    assert found[-1].map50 > 0.1, "there is something to be compared"
    for one, other in zip(found, expected, strict=True):
        for loss in ("box_loss", "cls_loss", "dfl_loss"):
            assert getattr(one, loss) == other[loss]
            assert getattr(one, f"val_{loss}") == other[f"val/{loss}"]
        metrics = [one.precision, one.recall, one.map50, one.map50_95]
        names = ("precision(B)", "recall(B)", "mAP50(B)", "mAP50-95(B)")
        assert metrics == [other[f"metrics/{name}"] for name in names]


def enqueue(made: Deployment, shared: Path, data: Path, epochs: int) -> int:
    weights = shared / "weights" / "yolov8n.pt"
    asked = ("--base", str(weights), "--name", "fruit", "--epochs", str(epochs))
    sizes = ("--imgsz", "160", "--batch", "8")
    return int(made.cli_json("train", str(data), *asked, *sizes)["id"])


def epochs_of(made: Deployment, job: int) -> list[tuple[int, int]]:
    query = text("SELECT epoch, attempt FROM training_epochs WHERE job_id = :job ORDER BY epoch")
    with reading(made.database) as tx:
        return [(row.epoch, row.attempt) for row in tx.execute(query, {"job": job})]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_training_from_a_coco_checkpoint_registers_a_model_even_if_it_is_killed(
    shared: Path, subset: Path, database_url: str, broker: Valkey
) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="ns-") as home,
        deployment(Path(home), database_url, broker.url) as made,
    ):
        made.start("worker")
        made.start("reconcile")
        job = enqueue(made, shared, subset, epochs=2)
        made.until_over(job)
        assert made.outcomes(job) == ["succeeded"]
        assert epochs_of(made, job) == [(1, 1), (2, 1)]

        job = enqueue(made, shared, subset, epochs=3)
        made.until(lambda: epochs_of(made, job) == [(1, 1)])
        made.runner().send_signal(signal.SIGKILL)
        made.until_over(job)
        assert made.job(job).state is State.SUCCEEDED
        assert made.outcomes(job) == ["failed", "succeeded"]
        assert epochs_of(made, job) == [(1, 1), (2, 2), (3, 2)]

        models = {
            one["version"]: one for one in made.cli_json("models", "list") if one["name"] == "fruit"
        }
        assert [models[version]["stage"] for version in (1, 2)] == ["candidate", "candidate"]
        assert models[2]["classes"] == ["apple", "banana", "orange"]

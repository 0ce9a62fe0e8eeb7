"""What becomes of a request to train: the job, the registration it waits for, or a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine

import producer
from db import job_records, jobs, results
from db.dialect import reading
from db.errors import DatasetError, ModelError, NightshelfError, UsageError
from db.file_facts import FileFacts
from db.files import sha256_of
from db.layout import attempt_address, checkpoint_address
from db.settings import Settings
from db.specs import TrainSpec
from db.states import State
from db.training_results import LAST, TrainResult, write_epoch
from tests.labelled import write_dataset
from tests.recorded import claimed, epoch_facts, register_model, sha256

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
pytestmark = ON_SQLITE


@pytest.fixture
def model(configured: Settings, database: Engine) -> str:
    """The sha256 of a registered model, `products`, whose file is there."""
    return register_model(database, "products", ["apple", "banana"], configured.home)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "fruit")


def spec_of(job_id: int) -> TrainSpec:
    spec = producer.job(job_id).job.parsed_spec
    assert isinstance(spec, TrainSpec)
    return spec


def test_a_training_is_recorded_with_ultralytics_defaults(model: str, data: Path) -> None:
    read: list[tuple[int, int]] = []
    found = producer.train(
        data, "products", "fruit", on_read=lambda done, total: read.append((done, total))
    )
    assert found.new
    assert read[-1] == (6, 6)
    assert found.job.label == "fruit from products@1 on fruit"
    assert found.job.queue == "nightshelf.gpu.normal"
    spec = spec_of(found.job.id)
    assert (spec.base_sha256, spec.architecture) == (model, None)
    asked = (spec.epochs, spec.imgsz, spec.batch, spec.patience, spec.seed, spec.settings)
    assert asked == (100, 640, 16, 100, 0, {})
    again = producer.train(data, "products@1", "fruit", epochs=100)
    assert (again.job.id, again.new) == (found.job.id, False)
    other = producer.train(data, "products", "fruit", batch="auto", settings=["lr0=0.001"])
    assert other.new
    assert (spec_of(other.job.id).batch, spec_of(other.job.id).settings) == ("auto", {"lr0": 0.001})


@pytest.mark.usefixtures("model")
def test_a_model_that_is_trained_on_keeps_its_name_if_nothing_is_said(data: Path) -> None:
    assert spec_of(producer.train(data, "products@1").job.id).name == "products"
    with pytest.raises(UsageError, match=r"say what the new .* as yolov8n\.yaml is"):
        producer.train(data, "yolov8n.yaml")


@pytest.mark.usefixtures("configured")
def test_an_architecture_needs_no_model(data: Path) -> None:
    spec = spec_of(producer.train(data, "yolov8s.yaml", "fruit").job.id)
    assert (spec.base_sha256, spec.architecture, spec.base) == (
        None,
        "yolov8s.yaml",
        "yolov8s.yaml",
    )


def test_a_file_that_is_registered_is_that_model(
    configured: Settings, model: str, data: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "anything.pt"
    copy.write_text("products")  # of the sha256 that was registered
    spec = spec_of(producer.train(data, copy, "fruit").job.id)
    assert (spec.base, spec.base_sha256) == ("products@1", model)


@pytest.mark.usefixtures("configured")
def test_a_file_that_is_not_registered_is_registered_first(
    data: Path, tmp_path: Path, database: Engine
) -> None:
    weights = tmp_path / "YOLOv8n (new).pt"
    weights.write_text("weights")
    found = producer.train(data, weights, "fruit")
    assert found.job.state is State.WAITING
    [child] = producer.job(found.job.id).children
    assert (child.kind, child.state) == ("register", State.QUEUED)
    assert child.spec["name"] == "yolov8n-new-"
    assert spec_of(found.job.id).base_sha256 == sha256_of(weights)
    with database.begin() as tx:
        lease = jobs.claim(tx, child.id, jobs.Claimant("w", "h", "cpu"), 60)
        assert lease is not None
        jobs.fail(tx, lease, "it is a YOLO model for pose", permanent=True)
    failed = producer.job(found.job.id).job
    assert failed.state is State.FAILED
    assert "it is a YOLO model for pose" in str(failed.error)
    assert producer.models() == []


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("base", "options", "error", "reason"),
    [
        ("prodcts", {}, ModelError, "did you mean products"),
        ("yolov8n.pt", {}, UsageError, "no such file: yolov8n.pt (nothing is downloaded here"),
        ("yolo26n.yaml", {}, UsageError, "cannot be trained from scratch: say yolov8n.yaml"),
        ("yolov8n-cls.yaml", {}, UsageError, "cannot be trained from scratch"),
        ("products", {"batch": 0}, UsageError, "must be a number from 1, or auto, not 0"),
        ("products", {"batch": "most"}, UsageError, "or auto, not most"),
        ("products", {"settings": ["lro=1"]}, UsageError, "did you mean lrf, lr0"),
        ("products", {"imgsz": 100}, UsageError, "imgsz"),
        ("products", {"device": "tpu"}, UsageError, "device"),
        ("products", {"name": "No Name"}, UsageError, "name"),
        ("products", {"extend": 3}, ModelError, "no training here made products@1"),
        ("products", {"extend": 3, "epochs": 4}, UsageError, "leave out epochs"),
        ("products", {"extend": 0}, UsageError, "a number of epochs from 1, not 0"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_a_line_and_records_nothing(
    data: Path, base: str, options: dict[str, Any], error: type[NightshelfError], reason: str
) -> None:
    name = options.pop("name", "fruit")
    with pytest.raises(error) as caught:
        producer.train(data, base, name, **options)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [one.kind for one in producer.jobs()] == ["register"], "the model's own"


@pytest.mark.usefixtures("model")
def test_a_data_set_that_is_none_or_lacks_a_split_is_refused(data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("train: [images\n")
    with pytest.raises(DatasetError, match=r"broken\.yaml is no YAML"):
        producer.train(broken, "products", "fruit")
    content = yaml.safe_load(data.read_text())
    data.write_text(yaml.safe_dump({key: content[key] for key in ("train", "names")}))
    for path in (data.parent / "images" / "val").iterdir():
        path.unlink()
    (data.parent / "images" / "val").rmdir()
    with pytest.raises(DatasetError, match="has no val: it has train"):
        producer.train(data, "products", "fruit")


def trained(configured: Settings, database: Engine, spec: TrainSpec, epochs: int) -> int:
    """A training that succeeded, with its files."""
    with database.begin() as tx:
        lease = claimed(tx, spec, force=True)
        job = lease.job
        for number in range(1, epochs + 1):
            address = checkpoint_address(job.id, 1, number)
            facts = epoch_facts(number, best=True, final=number == epochs)
            write_epoch(tx, job.id, 1, facts, address, sha256("checkpoint"))
        folder = configured.home / attempt_address(job.id, 1)
        folder.mkdir(parents=True)
        (folder / LAST).write_text("the state")
        made = configured.home / "models" / sha256("made") / "weights.pt"
        made.parent.mkdir(parents=True)
        made.write_text("made")
        jobs.finish(tx, lease)
        result = TrainResult(
            task="detect",
            architecture="yolov8n",
            class_names=("apple",),
            parameters=1,
            size_bytes=1,
            model_sha256=sha256("made"),
            device="cpu",
            batch=4,
            versions={"nightshelf": "0.1.0"},
            files=(FileFacts.of(folder / LAST),),
        )
        results.write(tx, job, result)
    return job.id


def test_a_finished_training_is_gone_on_with_on_the_same_content_alone(
    configured: Settings, database: Engine, model: str, data: Path
) -> None:
    asked = producer.train(data, "products", "fruit", epochs=30, imgsz=96, settings=["lr0=0.02"])
    job_id = trained(configured, database, spec_of(asked.job.id), epochs=20)
    found = producer.train(data, "fruit@1", "fruit", extend=10)
    spec = spec_of(found.job.id)
    assert (spec.base, spec.base_sha256) == ("fruit@1", sha256("made"))
    assert (spec.epochs, spec.imgsz, spec.settings) == (30, 96, {"lr0": 0.02})
    assert spec.extends is not None
    assert (spec.extends.job_id, spec.extends.epochs) == (job_id, 20)
    assert sha256_of(configured.home / spec.extends.checkpoint) == spec.extends.sha256
    assert spec.extends.sha256 == sha256("the state")

    label = data.parent / "labels" / "train" / "train0.txt"
    label.write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(UsageError, match=r"has other content .*: train with --base fruit@1"):
        producer.train(data, "fruit@1", "fruit", extend=10)
    (configured.home / spec.extends.checkpoint).unlink()
    with pytest.raises(ModelError, match=f"last checkpoint of job {job_id} is gone"):
        producer.train(data, "fruit@1", "fruit", extend=10)


def test_a_training_can_be_looked_at_while_it_runs_and_afterwards(
    configured: Settings, database: Engine, model: str, data: Path
) -> None:
    asked = producer.train(data, "products", "fruit", epochs=3)
    with database.begin() as tx:
        job = job_records.get(tx, asked.job.id)
        address = checkpoint_address(job.id, 1, 1)
        write_epoch(tx, job.id, 1, epoch_facts(1, best=True), address, sha256("one"))
    so_far = producer.training(asked.job.id)
    assert (so_far.model, so_far.base, so_far.facts) == (None, "products@1", None)
    assert [one["epoch"] for one in so_far.epochs] == [1]
    done = producer.training(trained(configured, database, spec_of(asked.job.id), epochs=3))
    assert (done.state, done.model, done.dataset) == (State.SUCCEEDED, "fruit@1", "fruit")
    assert done.facts is not None
    assert done.facts["args"]["epochs"] == 3
    assert len(done.epochs) == 3
    with reading(database) as tx:
        register = job_records.listing(tx, kinds=["register"])[0].id
    with pytest.raises(UsageError, match=f"job {register} trains no model"):
        producer.training(register)

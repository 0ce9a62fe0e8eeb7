"""An `evaluate` job beside Ultralytics' own `val`, on rendered shelves and belts."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from sqlalchemy import Engine, text

from db.dataset_files import find_dataset, sha256_of_dataset
from db.dialect import reading
from db.errors import DatasetError, ModelError, Stopped
from db.evaluation_results import EvaluateResult
from db.files import sha256_of
from db.layout import model_address
from db.specs import EvaluateSpec, RegisterSpec
from demo.dataset import Shoot, write_dataset
from tests.deployment import WEIGHTS
from tests.quiet import quiet_ultralytics
from tests.recorded import checkpoint, finished
from worker.context import Context
from worker.jobs import evaluate

ARGUMENTS: dict[str, Any] = {"imgsz": 320, "batch": 4, "conf": 0.001, "iou": 0.7, "max_det": 300}


@pytest.fixture(autouse=True, scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quiet_ultralytics(tmp_path_factory.mktemp("home")):
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames, whose products the demo's model knows."""
    shoot = Shoot("val", first_seed=90_000, belts=1, shelves=1, frames=4)
    return write_dataset(tmp_path_factory.mktemp("data") / "set", (shoot,))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    kept = tmp_path / "home" / model_address(sha256_of(WEIGHTS))
    kept.parent.mkdir(parents=True)
    shutil.copyfile(WEIGHTS, kept)
    return tmp_path / "home"


def spec(data: Path, **options: Any) -> EvaluateSpec:
    digest = sha256_of_dataset(find_dataset(data), lambda done, total: None)
    return EvaluateSpec(
        model="products",
        model_sha256=sha256_of(WEIGHTS),
        name="scenes",
        data=str(data),
        dataset_sha256=digest,
        **ARGUMENTS | options,
    )


def run(data: Path, home: Path, **options: Any) -> EvaluateResult:
    folder = home / "attempt-1"
    folder.mkdir()
    return evaluate.run(spec(data, **options), Context(home, folder))


def ultralytics_val(data: Path, folder: Path) -> Any:
    """What Ultralytics says, on a copy: it writes beside the labels."""
    from ultralytics.models import YOLO

    copy = folder / "copy"
    shutil.copytree(data.parent, copy)
    content = yaml.safe_load(data.read_text()) | {"path": str(copy), "train": "images/val"}
    (copy / "data.yaml").write_text(yaml.safe_dump(content))
    return YOLO(WEIGHTS).val(
        data=str(copy / "data.yaml"),
        device="cpu",
        plots=False,
        verbose=False,
        project=str(folder / "runs"),
        **ARGUMENTS,
    )


def test_the_metrics_are_those_of_ultralytics_val(data: Path, home: Path, tmp_path: Path) -> None:
    before = set(data.parent.rglob("*"))
    ours = run(data, home)
    theirs = ultralytics_val(data, tmp_path)
    assert theirs.box.map50 > 0.5, "there is something to be compared"
    overall = (ours.precision, ours.recall, ours.map50, ours.map50_95)
    assert overall == pytest.approx(theirs.box.mean_results(), abs=1e-6)
    assert ours.f1 == pytest.approx(theirs.box.f1.mean(), abs=1e-6)
    measured = [one for one in ours.classes if one.map50 is not None]
    assert [one.class_name for one in measured] == [
        theirs.names[number] for number in theirs.box.ap_class_index
    ]
    for position, one in enumerate(measured):
        found = (one.precision, one.recall, one.map50, one.map50_95)
        assert found == pytest.approx(theirs.box.class_result(position), abs=1e-6)
    assert [one.instances for one in ours.classes] == theirs.nt_per_class.tolist()
    assert [one.images for one in ours.classes] == theirs.nt_per_image.tolist()
    assert ours.images == 8
    assert ours.inference_ms > 0
    assert set(data.parent.rglob("*")) == before, "nothing is written there"


def test_classes_are_matched_by_name_whatever_their_ids(
    data: Path, home: Path, tmp_path: Path
) -> None:
    names = list(yaml.safe_load(data.read_text())["names"].values())
    turned = tmp_path / "turned"
    shutil.copytree(data.parent, turned)
    for label in (turned / "labels/val").glob("*.txt"):
        lines = [line.partition(" ") for line in label.read_text().splitlines()]
        last = len(names) - 1
        label.write_text("".join(f"{last - int(number)} {rest}\n" for number, _, rest in lines))
    (turned / "data.yaml").write_text(yaml.safe_dump({"val": "images/val", "names": names[::-1]}))
    other = run(turned / "data.yaml", home)
    shutil.rmtree(home / "attempt-1")
    as_they_are = run(data, home)
    differs = {"files", "preprocess_ms", "inference_ms", "postprocess_ms"}
    assert other.model_dump(exclude=differs) == as_they_are.model_dump(exclude=differs)


def test_objects_and_boxes_are_kept_in_pixels_of_the_image(data: Path, home: Path) -> None:
    result = run(data, home)
    seen = pl.read_parquet(home / "attempt-1" / "objects.parquet")
    truth, boxes = seen.filter("truth"), seen.filter(~pl.col("truth"))
    assert len(truth) == result.instances
    assert truth["confidence"].null_count() == len(truth)
    assert boxes["confidence"].min() > ARGUMENTS["conf"]
    image = data.parent / "images/val"
    assert set(seen["image"]) <= {str(path) for path in image.iterdir()}
    # The first object of a label file, brought to pixels by hand.
    path = sorted(image.iterdir())[0]
    line = (data.parent / "labels/val" / f"{path.stem}.txt").read_text().split()
    x, y, width, height = map(float, line[1:5])
    import cv2

    rows, columns = cv2.imread(str(path)).shape[:2]
    box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    expected = [value * size for value, size in zip(box, (columns, rows) * 2, strict=True)]
    first = truth.filter(pl.col("image") == str(path)).select("x1", "y1", "x2", "y2").row(0)
    assert first == pytest.approx(expected, abs=0.6)


def test_average_precision_of_the_outcomes_is_the_one_that_was_measured(
    data: Path, home: Path
) -> None:
    from ultralytics.utils.metrics import ap_per_class

    result = run(data, home)
    rows = pl.read_parquet(home / "attempt-1" / "objects.parquet")
    boxes, objects = rows.filter(~pl.col("truth")), rows.filter("truth")
    ids = {name: number for number, name in enumerate(objects["class"].unique())}
    found = ap_per_class(
        (boxes["outcome"] == "correct").to_numpy()[:, None],
        boxes["confidence"].to_numpy(),
        boxes["class"].replace_strict(ids, default=-1).to_numpy(),
        objects["class"].replace_strict(ids).to_numpy(),
    )
    assert found[5][:, 0].mean() == pytest.approx(result.map50, abs=1e-6)


def test_a_split_that_is_not_there_is_refused(data: Path, home: Path) -> None:
    with pytest.raises(DatasetError, match="has no test: it has val"):
        run(data, home, split="test")


def test_no_class_in_common_is_refused(data: Path, home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(data.parent, other)
    names = [f"tool {number}" for number in range(6)]
    (other / "data.yaml").write_text(yaml.safe_dump({"val": "images/val", "names": names}))
    with pytest.raises(ModelError, match="have no class in common: the one knows apple"):
        run(other / "data.yaml", home)


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("images", b"", r"\(it has 0 bytes\)"),
        ("labels", b"6 0.5 0.5 0.1 0.1\n", r"\(Label class 6 exceeds dataset class count 6"),
    ],
)
def test_an_image_that_would_be_left_out_is_refused(
    data: Path, home: Path, tmp_path: Path, path: str, content: bytes, reason: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(data.parent, broken)
    (broken / "data.yaml").write_text(
        yaml.safe_dump(yaml.safe_load(data.read_text()) | {"path": "."})
    )
    first, *_ = sorted((broken / path / "val").iterdir())
    first.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"1 of 8 images of .*/{first.stem}\.\w+ {reason}"):
        run(broken / "data.yaml", home)
    assert list((home / "attempt-1").iterdir()) == []


def test_an_evaluation_can_be_stopped_between_two_batches(data: Path, home: Path) -> None:
    folder = home / "attempt-1"
    folder.mkdir()
    # Eight images are read, the model is loaded, they are looked through, one batch is evaluated.
    checkpoints = itertools.count(1)
    context = Context(home, folder, stop_wanted=lambda: next(checkpoints) >= 8 + 1 + 8 + 1)
    with pytest.raises(Stopped):
        evaluate.run(spec(data), context)
    assert next(checkpoints) == 8 + 1 + 8 + 1 + 1
    assert list(folder.iterdir()) == []


def test_what_was_measured_is_in_the_tables(database: Engine, data: Path, home: Path) -> None:
    result = run(data, home)
    model = RegisterSpec(name="products", weights=str(WEIGHTS), weights_sha256=sha256_of(WEIGHTS))
    finished(database, model, checkpoint("apple", "banana"))
    job = finished(database, spec(data), result)
    with reading(database) as tx:
        [row] = tx.execute(text("SELECT * FROM evaluations")).mappings().all()
        classes = text("SELECT class, map50 FROM evaluation_classes ORDER BY class")
        by_class = [tuple(one) for one in tx.execute(classes)]
        assert tx.scalar(text("SELECT name FROM datasets")) == "scenes"
    assert (row["job_id"], row["map50_95"], row["imgsz"]) == (job.id, result.map50_95, 320)
    assert by_class == sorted((one.class_name, one.map50) for one in result.classes)

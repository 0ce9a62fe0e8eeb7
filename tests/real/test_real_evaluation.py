"""Two models on a real data set, beside Ultralytics' own `val`.

The golden numbers are what `YOLO(weights).val(data=…, imgsz=416, batch=16, device="cpu")` printed
for a copy of the data set (Ultralytics 8.4.190, its other arguments at their defaults).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from db.dataset_files import find_dataset, sha256_of_dataset
from db.evaluation_results import EvaluateResult
from db.files import sha256_of
from db.layout import model_address
from db.specs import EvaluateSpec
from tests.quiet import quiet_ultralytics
from worker.context import Context
from worker.jobs import evaluate

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quiet_ultralytics(tmp_path_factory.mktemp("home")):
        yield


def run(shared: Path, weights: str, home: Path, imgsz: int) -> EvaluateResult:
    """Evaluate on the data set where it lies, which may be read-only."""
    source, data = shared / "weights" / weights, shared / "data" / "fruit" / "data.yaml"
    digest = sha256_of(source)
    kept = home / model_address(digest)
    kept.parent.mkdir(parents=True)
    shutil.copyfile(source, kept)
    folder = home / "attempt-1"
    folder.mkdir()
    spec = EvaluateSpec(
        model="model",
        model_sha256=digest,
        name="fruit",
        data=str(data),
        dataset_sha256=sha256_of_dataset(find_dataset(data), lambda done, total: None),
        imgsz=imgsz,
    )
    return evaluate.run(spec, Context(home, folder))


def ultralytics_val(shared: Path, weights: str, folder: Path, imgsz: int) -> Any:
    """What Ultralytics says of a copy whose labels have the ids of the model's classes."""
    from ultralytics.models import YOLO

    model = YOLO(shared / "weights" / weights)
    ids = {name: number for number, name in model.names.items()}
    copy = folder / "fruit"
    shutil.copytree(shared / "data" / "fruit", copy, copy_function=shutil.copyfile)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    content = yaml.safe_load((copy / "data.yaml").read_text())
    names = content["names"]
    for label in (copy / "labels").rglob("*.txt"):
        lines = [line.partition(" ") for line in label.read_text().splitlines()]
        label.write_text("".join(f"{ids[names[int(n)]]} {rest}\n" for n, _, rest in lines))
    content |= {"names": model.names, "path": str(copy)}
    (copy / "data.yaml").write_text(yaml.safe_dump(content))
    return model.val(
        data=str(copy / "data.yaml"),
        imgsz=imgsz,
        batch=16,
        device="cpu",
        plots=False,
        verbose=False,
        project=str(folder / "runs"),
    )


@pytest.mark.parametrize("weights", ["fruit-yolov8n.pt", "yolov8n.pt"])
def test_metrics_are_those_of_ultralytics_val(shared: Path, tmp_path: Path, weights: str) -> None:
    ours = run(shared, weights, tmp_path / "home", 224)
    theirs = ultralytics_val(shared, weights, tmp_path, 224)
    overall = (ours.precision, ours.recall, ours.map50, ours.map50_95)
    assert overall == pytest.approx(theirs.box.mean_results(), abs=1e-6)
    by_name = {one.class_name: one for one in ours.classes}
    assert set(by_name) == {"apple", "banana", "orange"}
    for position, number in enumerate(theirs.box.ap_class_index):
        one = by_name[theirs.names[number]]
        found = (one.precision, one.recall, one.map50, one.map50_95)
        assert found == pytest.approx(theirs.box.class_result(position), abs=1e-6)


def test_the_fine_tuned_model_has_its_golden_numbers(shared: Path, tmp_path: Path) -> None:
    found = run(shared, "fruit-yolov8n.pt", tmp_path / "home", 416)
    assert (round(found.map50, 3), round(found.map50_95, 3)) == (0.950, 0.726)
    assert {one.class_name: round(one.map50_95 or 0, 3) for one in found.classes} == {
        "apple": 0.806,
        "banana": 0.621,
        "orange": 0.751,
    }
    assert (found.images, found.instances) == (60, 117)
    assert found.best_confidence == pytest.approx(0.429, abs=1e-3)
    counts = (found.true_positives, found.false_positives, found.false_negatives)
    assert counts == (109, 18, 8)
    # By tidecv, as in `test_tide.py`.
    assert 100 * found.false_positives_cost == pytest.approx(3.8519545453, abs=1e-4)
    assert 100 * found.false_negatives_cost == pytest.approx(0.7241370592, abs=1e-4)
    missed = {(one.class_name, one.size): (one.missed, one.instances) for one in found.misses}
    assert missed["banana", "large"] == (3, 40)
    assert missed["orange", "medium"] == (1, 2)


def test_a_confidence_of_the_wanted_precision_is_found_by_hand(
    shared: Path, tmp_path: Path
) -> None:
    found = run(shared, "fruit-yolov8n.pt", tmp_path / "home", 416)
    rows = pl.read_parquet(tmp_path / "home" / "attempt-1" / "objects.parquet")
    boxes = rows.filter(~pl.col("truth"))
    for step in (20, 43, 70):
        counted = boxes.filter(pl.col("confidence") >= step / 100)
        by_class = counted.group_by("class").agg((pl.col("outcome") == "correct").mean())
        mean = by_class["outcome"].mean()
        # The curves have straight lines between the boxes.
        assert found.sweep[0].precision[step] == pytest.approx(mean, abs=0.01)

"""Two models compared on a real data set.

The golden numbers are what `YOLO(weights).val(data=..., imgsz=416, batch=16, device="cpu")` printed
for a copy of the data set whose labels have the ids of the model's classes (Ultralytics 8.4.190,
its other arguments at their defaults).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.comparison_results import CompareResult
from db.dataset_files import find_dataset, sha256_of_dataset
from db.files import sha256_of
from db.layout import model_address
from db.specs import CompareSpec
from tests.quiet import quiet_ultralytics
from worker.context import Context
from worker.jobs import compare

pytestmark = pytest.mark.slow

WEIGHTS = ("yolov8n.pt", "fruit-yolov8n.pt")


@pytest.fixture(autouse=True, scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quiet_ultralytics(tmp_path_factory.mktemp("home")):
        yield


@pytest.fixture(scope="module")
def compared(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[CompareResult, Path]:
    """What a job says of the fine-tuned model beside the one it began with, and its folder."""
    home = tmp_path_factory.mktemp("nightshelf")
    digests = []
    for name in WEIGHTS:
        source = shared / "weights" / name
        digests.append(sha256_of(source))
        kept = home / model_address(digests[-1])
        kept.parent.mkdir(parents=True)
        shutil.copyfile(source, kept)
    data = shared / "data" / "fruit" / "data.yaml"
    spec = CompareSpec(
        models=("coco@1", "fruit@1"),
        model_sha256s=tuple(digests),
        name="fruit",
        data=str(data),
        dataset_sha256=sha256_of_dataset(find_dataset(data), lambda done, total: None),
        imgsz=416,
    )
    folder = home / "attempt-1"
    folder.mkdir()
    return compare.run(spec, Context(home, folder)), folder


def test_both_have_their_golden_numbers(compared: tuple[CompareResult, Path]) -> None:
    result, _ = compared
    assert result.classes == ("apple", "banana", "orange")
    assert (result.images, result.instances) == (60, 117)
    coco, fruit = result.models
    assert (round(coco.map50, 3), round(coco.map50_95, 3)) == (0.688, 0.476)
    assert (round(fruit.map50, 3), round(fruit.map50_95, 3)) == (0.950, 0.726)
    assert {one.class_name: round(one.map50_95 or 0, 3) for one in coco.classes} == {
        "apple": 0.656,
        "banana": 0.248,
        "orange": 0.523,
    }


def test_the_fine_tuned_model_is_better_and_that_is_more_than_luck(
    compared: tuple[CompareResult, Path],
) -> None:
    _, fruit = compared[0].models
    assert fruit.map50_difference == pytest.approx(0.2614, abs=1e-3)
    assert fruit.map50_low is not None
    assert fruit.map50_95_low is not None
    assert fruit.map50_low > 0.1
    assert fruit.map50_95_low > 0.1


def test_what_they_find_and_get_wrong_is_what_was_counted(
    compared: tuple[CompareResult, Path],
) -> None:
    coco, fruit = compared[0].models
    found = [
        (one.true_positives, one.false_positives, one.false_negatives) for one in (coco, fruit)
    ]
    assert found == [(86, 50, 31), (109, 18, 8)]
    assert [one.count for one in coco.errors] == [0, 23, 2, 2, 23, 26]
    assert [one.count for one in fruit.errors] == [1, 7, 0, 5, 5, 7]


def test_errors_cost_what_tide_says(compared: tuple[CompareResult, Path]) -> None:
    """By tidecv 1.0.1, its AP replaced by Ultralytics' `compute_ap`, as in `test_tide.py`."""
    coco, fruit = compared[0].models
    golden = [0.3704570077, 11.4423982700, 0.2806046955, 1.1609218432, 7.2367158921, 0.0]
    assert [100 * one.map50_cost for one in coco.errors] == pytest.approx(golden, abs=1e-4)
    golden = [0.0917321023, 1.5596093448, 0.0314029134, 0.5707513611, 1.2199149094, 0.7241370592]
    assert [100 * one.map50_cost for one in fruit.errors] == pytest.approx(golden, abs=1e-4)


def test_the_images_on_which_they_differ_most_are_drawn(
    compared: tuple[CompareResult, Path],
) -> None:
    result, folder = compared
    pictures = [file.name for file in result.files if file.name.startswith("difference-")]
    assert len(pictures) == 20
    assert all((folder / name).stat().st_size > 10_000 for name in pictures)

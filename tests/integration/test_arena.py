"""A data set laid out for Ultralytics, which writes beside what it reads."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from db.dataset_files import find_dataset
from db.errors import DatasetError, Stopped
from tests.labelled import LABEL, NAMES, label_of, write_dataset
from tests.quiet import quiet_ultralytics
from worker.evaluation.arena import Arena, lay_out


@pytest.fixture(autouse=True, scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quiet_ultralytics(tmp_path_factory.mktemp("home")):
        yield


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "set", {"train": 3, "val": 2})


def laid_out(data: Path, folder: Path, names: dict[int, str]) -> Arena:
    told = list[tuple[int, int]]()
    files = find_dataset(data)
    arena = lay_out(files, ["val"], names, folder / "arena", lambda *done: told.append(done))
    total = len(files.splits["val"])
    assert told == [(done, total) for done in range(1, total + 1)]
    return arena


def seen_by_ultralytics(arena: Arena) -> dict[str, list[list[float]]]:
    """Its own reading of a data set: class and box of each object, by the original's name."""
    from ultralytics.data import YOLODataset

    content = yaml.safe_load(arena.data.read_text())
    read: Any = YOLODataset(img_path=content["val"], data=content, imgsz=64, augment=False)
    originals = {name: path.name for name, path in arena.originals["val"].items()}
    return {
        originals[Path(one["im_file"]).name]: np.hstack([one["cls"], one["bboxes"]]).tolist()
        for one in read.labels
    }


def test_images_and_labels_are_links_in_the_order_of_the_originals(
    data: Path, tmp_path: Path
) -> None:
    arena = laid_out(data, tmp_path, dict(enumerate(NAMES)))
    images = sorted((tmp_path / "arena/images/val").iterdir())
    assert [image.resolve().name for image in images] == ["val0.png", "val1.png"]
    assert [arena.originals["val"][image.name] for image in images] == [
        image.resolve() for image in images
    ]
    for image in images:
        label = tmp_path / "arena/labels/val" / f"{image.stem}.txt"
        assert label.is_symlink()
        assert label.resolve() == label_of(image.resolve())
    assert arena.objects == {"val": 6}
    content = yaml.safe_load(arena.data.read_text())
    assert content["names"] == dict(enumerate(NAMES))
    assert content["train"] == content["val"] == str(tmp_path / "arena/images/val")


def test_labels_take_the_models_ids_and_what_it_does_not_know_is_left_out(
    data: Path, tmp_path: Path
) -> None:
    arena = laid_out(data, tmp_path, {0: "person", 47: "apple", 49: "orange"})
    labels = sorted((tmp_path / "arena/labels/val").iterdir())
    read = [line.split() for label in labels for line in label.read_text().splitlines()]
    assert [row[0] for row in read] == ["47", "49"] * 2
    boxes = np.array([row[1:] for row in read], np.float32)
    known = np.array([[0.5, 0.5, 0.4, 0.4], [0.7, 0.7, 0.3, 0.3]] * 2, np.float32)
    assert boxes.tolist() == known.tolist()
    assert arena.objects == {"val": 4}
    assert label_of(data.parent / "images/val/val0.png").read_text() == LABEL


def test_an_image_that_ultralytics_would_mend_is_a_copy(data: Path, tmp_path: Path) -> None:
    whole, longer = data.parent / "images/val/whole.jpg", data.parent / "images/val/longer.jpg"
    Image.new("RGB", (32, 32)).save(whole)
    longer.write_bytes(content := whole.read_bytes() + b"more")
    arena = laid_out(data, tmp_path, dict(enumerate(NAMES)))
    links = {
        original.name: (tmp_path / "arena/images/val" / name).is_symlink()
        for name, original in arena.originals["val"].items()
    }
    assert links == {"longer.jpg": False, "val0.png": True, "val1.png": True, "whole.jpg": True}
    assert longer.read_bytes() == content


def test_images_without_a_label_have_none(data: Path, tmp_path: Path) -> None:
    label_of(data.parent / "images/val/val0.png").unlink()
    laid_out(data, tmp_path, dict(enumerate(NAMES)))
    assert [path.name for path in (tmp_path / "arena/labels/val").iterdir()] == ["0000001.txt"]


@pytest.mark.parametrize(
    "content",
    [
        LABEL.replace(" ", "\t"),
        LABEL.replace(" ", ".0 ", 1),
        "\ufeff" + LABEL,
        LABEL + "0 0.9 0.5 0.3 0.2\n" + LABEL,
        "0 0.1 0.1 0.3 0.1 0.3 0.3333333\n1 0.6 0.6 0.8 0.6 0.8 0.7 0.6 0.7\n",
    ],
    ids=["tabs", "a float for a class", "byte order mark", "over the edge and twice", "polygons"],
)
def test_all_models_see_the_same_objects_whatever_their_ids(
    data: Path, tmp_path: Path, content: str
) -> None:
    label_of(data.parent / "images/val/val0.png").write_text(content)
    seen = []
    for number, names in enumerate(
        [dict(enumerate(NAMES)), dict(enumerate(["pear", "orange", "kiwi", "apple", "banana"]))]
    ):
        (tmp_path / str(number)).mkdir()
        arena = laid_out(data, tmp_path / str(number), names)
        found = seen_by_ultralytics(arena)
        assert arena.objects == {"val": sum(map(len, found.values()))}
        by_name = {
            image: sorted([names[int(row[0])], *row[1:]] for row in rows)
            for image, rows in found.items()
        }
        seen.append(by_name)
    assert seen[0] == seen[1], "to the last bit"
    assert len(seen[0]["val0.png"]) >= 2


def line(text: str) -> Callable[[Path], None]:
    def write(image: Path) -> None:
        label_of(image).write_text(LABEL + text, encoding="latin-1")

    return write


def as_gif(image: Path) -> None:
    Image.new("RGB", (32, 32)).save(image, "GIF")


def in_a_list(image: Path) -> None:
    """The split as a list, of which the image is not there."""
    data = image.parents[2] / "data.yaml"
    data.write_text(data.read_text().replace("images/val", "val.txt"))
    (data.parent / "val.txt").write_text("images/val/val0.png\nimages/val/val1.png")
    image.unlink()


@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]], ids=["same ids", "other ids"])
@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (in_a_list, "it is missing"),
        (lambda image: image.write_bytes(b""), "it has 0 bytes"),
        (lambda image: image.write_text("no image"), "it is no image"),
        (as_gif, "Invalid image format GIF"),
        (line("3 0.5 0.5 0.1 0.1"), "Label class 3 exceeds dataset class count 3"),
        (line("-1 0.5 0.5 0.1 0.1"), "negative label values"),
        (line("0 0.5 0.5 0.1"), "inhomogeneous shape"),
        (line("0 0.5 0.5 -0.1 0.1"), "negative label values"),
        (line("0 0.1 0.1 0.3 0.1 0.3 0.3"), "labels mix segment and detection rows"),
        (line("0 50 50 10 10\n" * 200), "out of bounds coordinates"),
        (line("0 0.5 0.5 0.1 0.1 \xe9"), "can't decode byte"),
    ],
)
def test_what_ultralytics_would_leave_out_is_refused_by_name_and_reason(
    data: Path, tmp_path: Path, break_it: Callable[[Path], None], reason: str, names: list[str]
) -> None:
    image = data.parent / "images/val/val0.png"
    break_it(image)
    with pytest.raises(DatasetError, match=reason) as refusal:
        laid_out(data, tmp_path, dict(enumerate(names)))
    said = str(refusal.value)
    assert said.startswith(f"1 of 2 images of {data} cannot be used, such as {image} (")
    assert said.endswith("): mend or remove them (`nightshelf dataset check` lists them all)")
    assert str(tmp_path / "arena") not in said
    assert "\n" not in said
    assert len(said) < 2 * len(str(data)) + 300


def test_a_layout_can_be_stopped_and_nothing_writes_to_its_folder_afterwards(
    tmp_path: Path,
) -> None:
    data = write_dataset(tmp_path / "set", {"train": 1, "val": 70})
    calls = itertools.count(1)

    def stop(done: int, total: int) -> None:
        if next(calls) == 3:
            raise Stopped

    folder = tmp_path / "arena"
    with pytest.raises(Stopped):
        lay_out(find_dataset(data), ["val"], dict(enumerate(NAMES)), folder, stop)
    assert len(list((folder / "images/val").iterdir())) < 70
    shutil.rmtree(folder)

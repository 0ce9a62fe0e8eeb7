"""A data set laid out for Ultralytics, which writes beside what it reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image

from db.dataset_files import find_dataset
from tests.labelled import LABEL, NAMES, label_of, write_dataset
from worker.evaluation.arena import Arena, lay_out


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "set", {"train": 3, "val": 2})


def laid_out(data: Path, folder: Path, names: dict[int, str]) -> Arena:
    return lay_out(find_dataset(data), ["val"], names, folder / "arena")


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
    content = yaml.safe_load(arena.data.read_text())
    assert content["names"] == dict(enumerate(NAMES))
    assert content["train"] == content["val"] == str(tmp_path / "arena/images/val")


def test_labels_take_the_models_ids_and_what_it_does_not_know_is_left_out(
    data: Path, tmp_path: Path
) -> None:
    laid_out(data, tmp_path, {0: "person", 47: "apple", 49: "orange"})
    labels = sorted((tmp_path / "arena/labels/val").iterdir())
    assert [label.read_text() for label in labels] == [
        "47 0.5 0.5 0.4 0.4\n49 0.7 0.7 0.3 0.3\n"
    ] * 2
    assert label_of(data.parent / "images/val/val0.png").read_text() == LABEL


def test_an_image_that_ultralytics_would_mend_is_a_copy(data: Path, tmp_path: Path) -> None:
    whole, cut = data.parent / "images/val/whole.jpg", data.parent / "images/val/cut.jpg"
    Image.new("RGB", (32, 32)).save(whole)
    cut.write_bytes(whole.read_bytes()[:-2])
    arena = laid_out(data, tmp_path, dict(enumerate(NAMES)))
    links = {
        original.name: (tmp_path / "arena/images/val" / name).is_symlink()
        for name, original in arena.originals["val"].items()
    }
    assert links == {"cut.jpg": False, "val0.png": True, "val1.png": True, "whole.jpg": True}


def test_images_without_a_label_have_none(data: Path, tmp_path: Path) -> None:
    label_of(data.parent / "images/val/val0.png").unlink()
    laid_out(data, tmp_path, dict(enumerate(NAMES)))
    assert [path.name for path in (tmp_path / "arena/labels/val").iterdir()] == ["0000001.txt"]

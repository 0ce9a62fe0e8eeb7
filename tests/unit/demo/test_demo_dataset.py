"""A data set on disk: pictures, labels that agree with the truth, and a description."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from demo.belt import belt
from demo.dataset import LEAST_VISIBLE, Shoot, write_dataset
from demo.products import CLASSES
from demo.train import SHOOTS


def test_labels_are_the_truth_of_the_lossless_pictures_beside_them(tmp_path: Path) -> None:
    description = write_dataset(tmp_path, (Shoot("train", 900, belts=1, shelves=0, frames=2),))
    told = json.loads(description.read_text())
    assert tuple(told["names"].values()) == CLASSES
    pictures = sorted((tmp_path / told["train"]).iterdir())
    assert len(pictures) == 2

    scene = belt(900, 9.0)
    rendered = [
        scene.render(frame) for frame in (scene.film.frames // 4, scene.film.frames * 3 // 4)
    ]
    for picture, (image, boxes) in zip(pictures, rendered, strict=True):
        assert np.array_equal(cv2.imread(str(picture)), image)
        labels = tmp_path / "labels" / "train" / f"{picture.stem}.txt"
        rows = np.loadtxt(labels, ndmin=2)
        shown = [box for box in boxes if box.visible >= LEAST_VISIBLE]
        assert len(rows) == len(shown) > 0
        for row, box in zip(rows, shown, strict=True):
            x, y, w, h = row[1:] * [
                scene.film.width,
                scene.film.height,
                scene.film.width,
                scene.film.height,
            ]
            assert row[0] == box.class_id
            assert (x - w / 2, y - h / 2, x + w / 2, y + h / 2) == pytest.approx(box.xyxy, abs=0.01)


def test_no_scene_is_both_trained_on_and_held_out() -> None:
    train, held_out = (
        set(range(shoot.first_seed, shoot.first_seed + shoot.belts + shoot.shelves))
        for shoot in SHOOTS
    )
    assert not train & held_out

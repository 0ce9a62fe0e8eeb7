"""Rendered frames from many scenes, laid out on disk as YOLO training wants them."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
from rich.progress import track

from demo.belt import belt
from demo.products import CLASSES
from demo.scenes import Scene
from demo.shelf import shelf
from demo.truth import TruthBox

LEAST_VISIBLE = 0.15
"""The visible share of a product below which it gets no label: a sliver has no class to learn."""

_BUILDERS: dict[str, Callable[[int, float], Scene]] = {"belt": belt, "shelf": shelf}
_SECONDS = 9.0


@dataclass(frozen=True)
class Shoot:
    """How many scenes of each kind make one part of a data set, and how many frames of each."""

    part: str
    first_seed: int
    belts: int
    shelves: int
    frames: int


@dataclass(frozen=True)
class _Take:
    kind: str
    seed: int
    frames: int
    images: Path
    labels: Path


def write_dataset(root: Path, shoots: tuple[Shoot, ...]) -> Path:
    """Render every shoot under `root` and return the file that describes the data set.

    Frames are PNG, so that no compression comes between the truth and the picture.
    """
    takes: list[_Take] = []
    for shoot in shoots:
        images, labels = root / "images" / shoot.part, root / "labels" / shoot.part
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        kinds = ["belt"] * shoot.belts + ["shelf"] * shoot.shelves
        for place, kind in enumerate(kinds):
            takes.append(_Take(kind, shoot.first_seed + place, shoot.frames, images, labels))
    with multiprocessing.get_context("spawn").Pool() as pool:
        for _ in track(pool.imap_unordered(_film, takes), "Rendering scenes", total=len(takes)):
            pass
    description = {
        "path": str(root.resolve()),
        **{shoot.part: f"images/{shoot.part}" for shoot in shoots},
        "names": dict(enumerate(CLASSES)),
    }
    file = root / "data.yaml"
    file.write_text(json.dumps(description, indent=1), encoding="utf-8")  # JSON is YAML
    return file


def _film(take: _Take) -> None:
    """Write evenly spread frames of one scene with their labels."""
    cv2.setNumThreads(1)
    scene = _BUILDERS[take.kind](take.seed, _SECONDS)
    for number in range(take.frames):
        frame = (2 * number + 1) * scene.film.frames // (2 * take.frames)
        image, boxes = scene.render(frame)
        # The place of the frame goes first, so that neighbours on disk come from unlike scenes.
        name = f"{number:03d}-{take.kind}-{take.seed}"
        cv2.imwrite(str(take.images / f"{name}.png"), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        lines = [_label(box, scene) for box in boxes if box.visible >= LEAST_VISIBLE]
        (take.labels / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


def _label(box: TruthBox, scene: Scene) -> str:
    """A line of YOLO's text format: class, then centre and size as shares of the frame."""
    x1, y1, x2, y2 = box.xyxy
    x, y = (x1 + x2) / 2 / scene.film.width, (y1 + y2) / 2 / scene.film.height
    w, h = (x2 - x1) / scene.film.width, (y2 - y1) / scene.film.height
    return f"{box.class_id} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n"

"""What models see, made up: images with objects and boxes, without images or models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from worker.evaluation.outcomes import outcomes_of
from worker.evaluation.seen import Seen

Object = tuple[int, float, float, float, float]
Box = tuple[int, float, float, float, float, float]
SIZE = 640


def seen_of(objects: Sequence[Object], boxes: Sequence[Box], image: str = "a.jpg") -> Seen:
    """An image with objects (class, x1, y1, x2, y2) and boxes (class, confidence, x1, ...).

    What overlaps what, and what is correct, is asked of Ultralytics.
    """
    import torch
    from ultralytics.engine.validator import BaseValidator
    from ultralytics.utils.metrics import box_iou

    true = np.array(objects, np.float32).reshape(-1, 5)
    found = np.array(sorted(boxes, key=lambda one: -one[1]), np.float32).reshape(-1, 6)
    overlap = box_iou(torch.from_numpy(true[:, 1:]), torch.from_numpy(found[:, 2:]))
    validator = SimpleNamespace(iouv=torch.linspace(0.5, 0.95, 10))
    class_id, true_class_id = found[:, 0].astype(np.int32), true[:, 0].astype(np.int32)
    correct = np.zeros((len(found), 10), bool)
    if len(true) and len(found):
        correct = BaseValidator.match_predictions(
            validator, torch.from_numpy(found[:, 0]), torch.from_numpy(true[:, 0]), overlap
        ).numpy()
    return Seen(
        image=Path("/images") / image,
        width=SIZE,
        height=SIZE,
        xyxy=found[:, 2:],
        confidence=found[:, 1],
        class_id=class_id,
        true_xyxy=true[:, 1:],
        true_class_id=true_class_id,
        correct=correct,
        outcomes=outcomes_of(overlap.numpy(), true_class_id, class_id, correct[:, 0]),
    )


def imagined(seed: int, images: int = 40, classes: int = 3, slack: float = 0.1) -> list[Seen]:
    """Images that a model sees more or less rightly: every kind of error is among them.

    Args:
        seed: the same seed and numbers give the same images; the objects depend on these alone.
        images: how many.
        classes: how many.
        slack: by which share of its size a box is off, about.
    """
    things, errors = np.random.default_rng(seed), np.random.default_rng([seed, round(slack * 1000)])
    found = []
    for number in range(images):
        objects = [_object(things, classes) for _ in range(things.integers(0, 6))]
        boxes: list[Box] = []
        for one in objects:
            for _ in range(errors.integers(0, 4)):
                boxes.append(_near(one, errors, classes, slack))
        for _ in range(errors.integers(0, 3)):
            class_id, *xyxy = _object(errors, classes)
            boxes.append((class_id, float(errors.uniform(0.001, 0.6)), *xyxy))
        found.append(seen_of(objects, boxes, f"{number:04}.jpg"))
    return found


def _object(rng: np.random.Generator, classes: int) -> Object:
    width, height = rng.uniform(15, 200, 2)
    x, y = rng.uniform(0, SIZE - width), rng.uniform(0, SIZE - height)
    return int(rng.integers(classes)), float(x), float(y), float(x + width), float(y + height)


def _near(one: Object, rng: np.random.Generator, classes: int, slack: float) -> Box:
    class_id, *xyxy = one
    if rng.uniform() < 0.2:
        class_id = int(rng.integers(classes))
    corners: NDArray[np.float64] = np.array(xyxy)
    size = np.tile(corners[2:] - corners[:2], 2)
    x1, y1, x2, y2 = (corners + rng.normal(0, slack, 4) * size * rng.choice([0.5, 4])).tolist()
    box = min(x1, x2), min(y1, y2), max(x1, x2) + 1, max(y1, y2) + 1
    return class_id, float(rng.uniform(0.05, 1)), *box

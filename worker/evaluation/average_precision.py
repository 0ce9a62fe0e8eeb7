"""Average precision where images count more than once, or not at all.

With all weights 1 it is Ultralytics' own (`ultralytics.utils.metrics.compute_ap`): precision made
to fall with recall, read at 101 recalls with straight lines between the points, and summed up by
trapezoids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.evaluation.seen import Seen

_RECALLS = np.linspace(0, 1, 101)
# As Ultralytics keeps recall finite.
_EPSILON = 1e-16


@dataclass(frozen=True, slots=True)
class Ranking:
    """The boxes of one class in all images, the most confident first, up to the last correct one.

    Those that are left out, which are most, change no average precision: recall ends before them.

    Attributes:
        image: int32 (n,), the image of each box.
        correct: bool (n, 10), whether it is right at IoU 0.5, 0.55, ..., 0.95.
        objects: int64 (images,), how many objects of the class are in each image.
    """

    image: NDArray[np.int32]
    correct: NDArray[np.bool_]
    objects: NDArray[np.int64]


def rankings(seen: Sequence[Seen]) -> dict[int, Ranking]:
    """The boxes of each class that there are objects of, by class id."""
    # Of boxes that are as confident as each other, the same go first as in `ap_per_class`.
    order = np.argsort(-np.concatenate([one.confidence for one in seen]))
    boxes = [len(one.confidence) for one in seen]
    image = np.repeat(np.arange(len(seen), dtype=np.int32), boxes)
    class_id = np.concatenate([one.class_id for one in seen])[order]
    correct = np.concatenate([one.correct for one in seen])
    found = {}
    for number in sorted({int(number) for one in seen for number in one.true_class_id}):
        objects = np.array([(one.true_class_id == number).sum() for one in seen], np.int64)
        here = order[class_id == number]
        right = np.flatnonzero(correct[here].any(axis=1))
        here = here[: right[-1] + 1 if len(right) else 0]
        found[number] = Ranking(image[here], correct[here], objects)
    return found


def average_precision(ranking: Ranking, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average precision of a class, for each of several weightings of the images.

    Args:
        ranking: the boxes of the class.
        weights: int (b, images), how often each image counts.

    Returns:
        float64 (b, 10), at IoU 0.5, 0.55, ..., 0.95; NaN where no object counts.
    """
    objects = weights @ ranking.objects
    found = np.zeros((len(weights), ranking.correct.shape[1]))
    of_box = weights[:, ranking.image]
    boxes = of_box.cumsum(axis=1)
    for place in range(found.shape[1]):
        right = np.flatnonzero(ranking.correct[:, place])
        if len(right):
            found[:, place] = _area(of_box[:, right], boxes[:, right], objects)
    found[objects == 0] = np.nan
    return found


def _area(
    right: NDArray[np.int64], boxes: NDArray[np.int64], objects: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The area under the curve of precision against recall.

    Only boxes that are right raise recall, so that the curve is known by where it stands before
    and after each of them: of what lies between, precision that falls at the same recall, the
    envelope keeps nothing.

    Args:
        right: int (b, k), how often each box that is right counts.
        boxes: int (b, k), how often it and those before it count together.
        objects: int (b,).
    """
    after = right.cumsum(axis=1)
    before = after - right
    recall = np.stack([before, after], axis=2) / (objects[:, None, None] + _EPSILON)
    precision = np.stack([_ratio(before, boxes - right), _ratio(after, boxes)], axis=2)
    count = len(right)
    recall = recall.reshape(count, -1)
    precision = precision.reshape(count, -1)
    ones, zeros = np.ones((count, 1)), np.zeros((count, 1))
    recall = np.hstack([zeros, recall, recall[:, -1:], ones])
    precision = np.hstack([ones, precision, zeros, zeros])
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    curves = zip(recall, envelope, strict=True)
    read = np.array([np.interp(_RECALLS, x, y) for x, y in curves])
    step = _RECALLS[1] - _RECALLS[0]
    return np.asarray((read[:, 1:] + read[:, :-1]).sum(axis=1) / 2 * step, np.float64)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Precision; 1 while there are no boxes, where Ultralytics' curve begins."""
    return np.divide(part, whole, out=np.ones(part.shape), where=whole > 0)

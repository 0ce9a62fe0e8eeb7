"""How many boxes are right and wrong, all classes alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from worker.evaluation.seen import Seen


@dataclass(frozen=True, slots=True)
class Counts:
    """Boxes that find an object, boxes that find none, and objects that no box finds."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float:
        """The share of the boxes that are right; 0 if there are none."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """The share of the objects that are found; 0 if there are none."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        wrong = self.false_positives + self.false_negatives
        return _share(2 * self.true_positives, 2 * self.true_positives + wrong)


def counts_at(seen: Sequence[Seen], confidence: float, match_iou: float) -> Counts:
    """Count boxes from a confidence on.

    Args:
        seen: of each image.
        confidence: of the least confident box that counts.
        match_iou: 0.5, 0.55, ... or 0.95: the IoU from which on a box finds an object.
    """
    place = round((match_iou - 0.5) / 0.05)
    boxes = sum(int((one.confidence >= confidence).sum()) for one in seen)
    right = sum(int(one.correct[one.confidence >= confidence, place].sum()) for one in seen)
    objects = sum(len(one.true_class_id) for one in seen)
    return Counts(right, boxes - right, objects - right)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

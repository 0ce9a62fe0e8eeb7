"""What a model gets wrong on labelled images, summed up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db.error_kinds import BoxSize, ErrorKind
from db.evaluation_results import ConfusionFacts, ErrorFacts, MissFacts
from worker.evaluation.outcomes import (
    CORRECT,
    MISSED,
    NOBODY,
    OUTCOMES,
    WRONG_CLASS,
    Outcomes,
    objects_at,
    outcomes_of,
)
from worker.evaluation.seen import Seen
from worker.evaluation.tide import Costs, costs

# Side in pixels of the square from which on an object is of the next size, as in COCO's metrics:
# https://cocodataset.org/#detection-eval
_MEDIUM_FROM, _LARGE_FROM = 32, 96


@dataclass(frozen=True, slots=True)
class ImageErrors:
    """What became of all that is in one image and all that was seen there.

    Attributes:
        seen: the image, with the classes that count.
        outcomes: of its boxes.
        true_code: int8 (m,), of its objects, at the confidence of the analysis.
        true_by: int32 (m,), the box that each object's outcome is for, or `NOBODY`.
        counted: bool (n,), the boxes of that confidence or more.
    """

    seen: Seen
    outcomes: Outcomes
    true_code: NDArray[np.int8]
    true_by: NDArray[np.int32]
    counted: NDArray[np.bool_]

    @property
    def counts(self) -> Counter[str]:
        """How often each outcome is there: `correct`, and the kinds of errors."""
        found = Counter(OUTCOMES[code] for code in self.outcomes.code[self.counted])
        found[ErrorKind.MISSED] += int((self.true_code == MISSED).sum())
        return found

    @property
    def true_positives(self) -> int:
        """Objects that were found."""
        return int((self.true_code == CORRECT).sum())

    @property
    def false_positives(self) -> int:
        """Boxes that find no object, or one that was found already."""
        return int(self.counted.sum()) - self.true_positives

    @property
    def false_negatives(self) -> int:
        """Objects that were not found."""
        return len(self.true_code) - self.true_positives


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a model gets wrong.

    Attributes:
        names: class id to name, of the classes that count.
        confidence: from which on boxes are counted; costs are those of all boxes.
        images: each of them.
        costs: what the errors cost.
    """

    names: Mapping[int, str]
    confidence: float
    images: tuple[ImageErrors, ...]
    costs: Costs

    @property
    def true_positives(self) -> int:
        """Objects that were found, at the confidence."""
        return sum(one.true_positives for one in self.images)

    @property
    def false_positives(self) -> int:
        """Boxes that find no object, or one that was found already."""
        return sum(one.false_positives for one in self.images)

    @property
    def false_negatives(self) -> int:
        """Objects that were not found."""
        return sum(one.false_negatives for one in self.images)

    @property
    def errors(self) -> tuple[ErrorFacts, ...]:
        """Each kind of error."""
        counts = sum((one.counts for one in self.images), Counter[str]())
        return tuple(
            ErrorFacts(kind=kind, count=counts[kind], map50_cost=self.costs.kinds[kind])
            for kind in ErrorKind
        )

    @property
    def confusion(self) -> tuple[ConfusionFacts, ...]:
        """How often each class is taken for each: every object and every box counts once.

        A box that finds no object, by its class or otherwise, is background taken for its class;
        an object that is found by no box is taken for background.
        """
        counts: Counter[tuple[int, int]] = Counter()
        for one in self.images:
            counts.update(_taken_for(one))
        return tuple(
            ConfusionFacts(
                true_class=self.names.get(true),
                predicted_class=self.names.get(predicted),
                count=count,
            )
            for (true, predicted), count in sorted(counts.items())
        )

    @property
    def misses(self) -> tuple[MissFacts, ...]:
        """How many objects of each class and size there are, and how many were not seen."""
        counts: Counter[tuple[int, BoxSize, int]] = Counter()
        for one in self.images:
            sizes = map(_size, one.seen.true_xyxy)
            ids = one.seen.true_class_id.tolist()
            counts.update(zip(ids, sizes, one.true_code.tolist(), strict=True))
        groups = {(number, size) for number, size, _ in counts}
        return tuple(
            MissFacts(
                class_name=self.names[number],
                size=size,
                instances=sum(counts[number, size, code] for code in range(len(OUTCOMES))),
                found=counts[number, size, CORRECT],
                missed=counts[number, size, MISSED],
            )
            for number, size in sorted(groups, key=_in_order)
        )

    def at(self, confidence: float) -> Analysis:
        """The same, counted from another confidence on."""
        images = tuple(_image(one.seen, one.outcomes, confidence) for one in self.images)
        return Analysis(self.names, confidence, images, self.costs)


def analyse(seen: Iterable[Seen], names: Mapping[int, str], confidence: float) -> Analysis:
    """Say what a model gets wrong.

    Args:
        seen: of each image.
        names: class id to name, of the classes that count: all others are passed over.
        confidence: from which on boxes are counted.
    """
    counting = [one.of_classes(names) for one in seen]
    outcomes = [outcomes_of(one) for one in counting]
    images = tuple(
        _image(one, found, confidence) for one, found in zip(counting, outcomes, strict=True)
    )
    return Analysis(names, confidence, images, costs(counting, outcomes))


def _image(seen: Seen, outcomes: Outcomes, confidence: float) -> ImageErrors:
    code, by = objects_at(seen, outcomes, confidence)
    return ImageErrors(seen, outcomes, code, by, seen.confidence >= confidence)


def _taken_for(one: ImageErrors) -> Sequence[tuple[int, int]]:
    """Class and predicted class of each object, and of each box that is left; `NOBODY` is none."""
    seen = one.seen
    by = np.where(np.isin(one.true_code, (CORRECT, WRONG_CLASS)), one.true_by, NOBODY)
    predicted = [NOBODY if box == NOBODY else int(seen.class_id[box]) for box in by]
    pairs = list(zip(seen.true_class_id.tolist(), predicted, strict=True))
    left = one.counted.copy()
    left[by[by != NOBODY]] = False
    return pairs + [(NOBODY, number) for number in seen.class_id[left].tolist()]


def _size(xyxy: NDArray[np.float32]) -> BoxSize:
    area = float((xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1]))
    if area < _MEDIUM_FROM**2:
        return BoxSize.SMALL
    return BoxSize.MEDIUM if area < _LARGE_FROM**2 else BoxSize.LARGE


def _in_order(group: tuple[int, BoxSize]) -> tuple[int, int]:
    return group[0], list(BoxSize).index(group[1])

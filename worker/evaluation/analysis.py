"""What a model gets wrong on labelled images, summed up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
    objects_at,
)
from worker.evaluation.seen import Seen
from worker.evaluation.tide import Costs, costs

# Side in pixels of the square from which on an object is of the next size, as in COCO's metrics:
# https://cocodataset.org/#detection-eval
_MEDIUM_FROM, _LARGE_FROM = 32, 96
# Between two checkpoints: some tenths of a second.
_IMAGES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class ImageErrors:
    """What became of all that is in one image and all that was seen there.

    Attributes:
        seen: the image.
        true_code: int8 (m,), of its objects, at the confidence of the analysis.
        true_by: int32 (m,), the box that each object's outcome is for, or `NOBODY`.
        counted: bool (n,), the boxes of that confidence or more.
    """

    seen: Seen
    true_code: NDArray[np.int8]
    true_by: NDArray[np.int32]
    counted: NDArray[np.bool_]

    @property
    def counts(self) -> Counter[str]:
        """How often each outcome is there: `correct`, and the kinds of errors."""
        found = Counter(OUTCOMES[code] for code in self.seen.outcomes.code[self.counted])
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


def analyse(
    seen: Sequence[Seen],
    names: Mapping[int, str],
    confidence: float,
    checkpoint: Callable[[], None],
) -> Analysis:
    """Say what a model gets wrong.

    Args:
        seen: of each image.
        names: class id to name, of the classes that count.
        confidence: from which on boxes are counted.
        checkpoint: called now and then; what it raises ends it.
    """
    images = []
    for number, one in enumerate(seen):
        if number % _IMAGES_AT_ONCE == 0:
            checkpoint()
        images.append(_image(one, confidence))
    return Analysis(names, confidence, tuple(images), costs(seen, checkpoint))


def _image(seen: Seen, confidence: float) -> ImageErrors:
    counted = seen.confidence >= confidence
    code, by = objects_at(seen.outcomes, counted, len(seen.true_class_id))
    return ImageErrors(seen, code, by, counted)


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

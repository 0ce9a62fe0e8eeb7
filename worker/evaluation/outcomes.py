"""What became of each box that a model saw, and of each object that is there.

The kinds are those of TIDE (Bolya et al., 2020, https://arxiv.org/abs/2008.08115), and are told
apart in the order in which its reference implementation does it. Boxes are matched as Ultralytics
matches them: the most confident first, each to the object of its class that it overlaps most of
those that are still to be had, from an IoU of 0.5 on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from db.error_kinds import ErrorKind

FOREGROUND: Final = 0.5
"""The IoU from which on a box is in the right place (TIDE's t_f)."""
BACKGROUND: Final = 0.1
"""The IoU up to which a box is on nothing (TIDE's t_b)."""

OUTCOMES: Final = ("correct", *ErrorKind)
"""What a code in an array of outcomes means."""
CORRECT: Final = 0
WRONG_CLASS, POOR_LOCALISATION, BOTH, DUPLICATE, BACKGROUND_BOX, MISSED = range(1, 7)
NOBODY: Final = -1


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of the boxes in one image.

    A box's outcome does not depend on those that are less confident, so that it is the same
    whatever the confidence from which on boxes count.

    Attributes:
        code: int8 (n,), an index into `OUTCOMES`.
        about: int32 (n,), the object that it was taken for; `NOBODY` for background.
        iou: float32 (n,), its IoU with that, or the highest with any.
    """

    code: NDArray[np.int8]
    about: NDArray[np.int32]
    iou: NDArray[np.float32]


def outcomes_of(
    overlap: NDArray[np.float32],
    true_class_id: NDArray[np.int32],
    class_id: NDArray[np.int32],
    correct: NDArray[np.bool_],
) -> Outcomes:
    """What became of each box in an image.

    Args:
        overlap: float32 (m, n), IoU of each object with each box, as Ultralytics has it: in the
            image that the model was shown, where boxes may reach over the edge.
        true_class_id: int32 (m,), of the objects.
        class_id: int32 (n,), of the boxes, the most confident first.
        correct: bool (n,), whether Ultralytics counts the box as a true positive at IoU 0.5.
    """
    count = len(class_id)
    if not count or not len(true_class_id):
        return Outcomes(
            np.full(count, BACKGROUND_BOX, np.int8),
            np.full(count, NOBODY, np.int32),
            np.zeros(count, np.float32),
        )
    same = true_class_id[:, None] == class_id[None, :]
    of_class, of_others = overlap * same, overlap * ~same
    matched = _match(of_class, correct)
    taken = np.isin(np.arange(len(true_class_id)), matched)
    of_taken = of_class * taken[:, None]
    best = of_class.max(0)
    # The first that holds counts, and names the object that the box is about.
    kinds = {
        CORRECT: (matched != NOBODY, matched),
        POOR_LOCALISATION: ((best >= BACKGROUND) & (best < FOREGROUND), of_class.argmax(0)),
        WRONG_CLASS: (of_others.max(0) >= FOREGROUND, of_others.argmax(0)),
        DUPLICATE: (of_taken.max(0) >= FOREGROUND, of_taken.argmax(0)),
        BOTH: (overlap.max(0) > BACKGROUND, overlap.argmax(0)),
    }
    held = [holds for holds, _ in kinds.values()]
    about = np.select(held, [thing for _, thing in kinds.values()], NOBODY).astype(np.int32)
    iou = overlap[about, np.arange(count)]
    return Outcomes(
        np.select(held, list(kinds), BACKGROUND_BOX).astype(np.int8),
        about,
        np.where(about == NOBODY, overlap.max(0), iou).astype(np.float32),
    )


def _match(overlap: NDArray[np.float32], correct: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The object of each box that Ultralytics counts as correct; `NOBODY` for the others."""
    free = overlap.copy()
    matched = np.full(overlap.shape[1], NOBODY, np.int32)
    for box in np.flatnonzero(correct):
        matched[box] = free[:, box].argmax()
        free[matched[box]] = 0
    return matched


def objects_at(
    outcomes: Outcomes, counted: NDArray[np.bool_], count: int
) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """What became of each object in an image.

    An object that was not found is what the most confident box took it for that would have found
    it with another class, or in a better place; it is missed if there is none.

    Args:
        outcomes: of the boxes.
        counted: bool (n,), the boxes that count: those from some confidence on.
        count: m, of the objects.

    Returns:
        int8 (m,), an index into `OUTCOMES`: correct, wrong class, poor localisation or missed; and
        int32 (m,), the box that it is for, or `NOBODY`.
    """
    code, by = np.full(count, MISSED, np.int8), np.full(count, NOBODY, np.int32)
    wrong = (outcomes.code == WRONG_CLASS) | (outcomes.code == POOR_LOCALISATION)
    for kind in (outcomes.code == CORRECT, wrong):
        boxes = np.flatnonzero(counted & kind)
        things, first = np.unique(outcomes.about[boxes], return_index=True)
        free = by[things] == NOBODY
        things, boxes = things[free], boxes[first[free]]
        code[things], by[things] = outcomes.code[boxes], boxes
    return code, by

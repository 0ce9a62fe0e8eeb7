"""What each kind of error costs: how much mAP50 would gain if a model did not make it.

After TIDE (Bolya et al., 2020, https://arxiv.org/abs/2008.08115, section 3), with Ultralytics' AP:
a box in the wrong place or of the wrong class is put right if its object was not found otherwise
and no box that is more confident is put right for the same object, and is left out if not; a box
that is both, a duplicate, or background is left out; an object that was missed does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db.error_kinds import ErrorKind
from worker.evaluation.outcomes import (
    CORRECT,
    MISSED,
    NOBODY,
    OUTCOMES,
    POOR_LOCALISATION,
    WRONG_CLASS,
    objects_at,
)
from worker.evaluation.seen import Seen


@dataclass(frozen=True, slots=True)
class Costs:
    """What mAP50 would gain, of at most 1.

    Attributes:
        kinds: if the model did not make this kind of error.
        false_positives: if each false positive were less confident than every true one.
        false_negatives: if an object that was not found did not count.
    """

    kinds: dict[ErrorKind, float]
    false_positives: float
    false_negatives: float


@dataclass(frozen=True, slots=True)
class _Boxes:
    """All boxes and objects of a split, one after the other.

    Attributes:
        code: int8 (n,), the outcome of each box.
        confidence: float32 (n,).
        class_id: int32 (n,).
        right_class_id: int32 (n,), the class it would have if it were put right; `NOBODY` for
            boxes that are not what their object waits for.
        true_class_id: int32 (m,), of each object.
        true_code: int8 (m,), the outcome of each object.
    """

    code: NDArray[np.int8]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int32]
    right_class_id: NDArray[np.int32]
    true_class_id: NDArray[np.int32]
    true_code: NDArray[np.int8]


def costs(seen: Sequence[Seen], checkpoint: Callable[[], None]) -> Costs:
    """What each kind of error costs.

    Args:
        seen: of each image; one at least has an object.
        checkpoint: called now and then; what it raises ends it.
    """
    boxes = _joined(seen)
    right = boxes.code == CORRECT
    as_it_is = _map50(right, boxes.confidence, boxes.class_id, boxes.true_class_id)
    kinds = {}
    for kind in ErrorKind:
        checkpoint()
        kinds[kind] = _without(boxes, OUTCOMES.index(kind))
    checkpoint()
    # All boxes that are right are the first of all; in which order does not matter.
    sure = np.where(right, np.float32(1), np.float32(0))
    precise = _map50(right, sure, boxes.class_id, boxes.true_class_id)
    checkpoint()
    found = boxes.true_class_id[boxes.true_code == CORRECT]
    complete = _map50(right, boxes.confidence, boxes.class_id, found)
    # AP is summed over 101 recalls: less than nothing would be an effect of their places.
    return Costs(
        {kind: max(0.0, map50 - as_it_is) for kind, map50 in kinds.items()},
        max(0.0, precise - as_it_is),
        max(0.0, complete - as_it_is),
    )


def _without(boxes: _Boxes, kind: int) -> float:
    """What mAP50 would be if no error of this kind were made."""
    right = boxes.code == CORRECT
    objects = boxes.true_class_id
    if kind == MISSED:
        return _map50(right, boxes.confidence, boxes.class_id, objects[boxes.true_code != MISSED])
    wrong = boxes.code == kind
    mended = wrong & (boxes.right_class_id != NOBODY)
    kept = ~wrong | mended
    class_id = np.where(mended, boxes.right_class_id, boxes.class_id)
    return _map50((right | mended)[kept], boxes.confidence[kept], class_id[kept], objects)


def _joined(seen: Sequence[Seen]) -> _Boxes:
    rights, codes = [], []
    for one in seen:
        everything = np.full(len(one.confidence), True)
        code, by = objects_at(one.outcomes, everything, len(one.true_class_id))
        waited_for = (code == WRONG_CLASS) | (code == POOR_LOCALISATION)
        right = np.full(len(one.confidence), NOBODY, np.int32)
        right[by[waited_for]] = one.true_class_id[waited_for]
        rights.append(right)
        codes.append(code)
    return _Boxes(
        code=np.concatenate([one.outcomes.code for one in seen]),
        confidence=np.concatenate([one.confidence for one in seen]),
        class_id=np.concatenate([one.class_id for one in seen]),
        right_class_id=np.concatenate(rights),
        true_class_id=np.concatenate([one.true_class_id for one in seen]),
        true_code=np.concatenate(codes),
    )


def _map50(
    right: NDArray[np.bool_],
    confidence: NDArray[np.float32],
    class_id: NDArray[np.int32],
    true_class_id: NDArray[np.int32],
) -> float:
    """The mean over the classes that have objects, 0 if none has."""
    from ultralytics.utils.metrics import ap_per_class

    # A box that is less confident than all right ones of its class, as most are, changes no AP.
    least = np.full(class_id.max(initial=0) + 1, np.inf, np.float32)
    np.minimum.at(least, class_id[right], confidence[right])
    kept = confidence >= least[class_id]
    found = ap_per_class(right[kept, None], confidence[kept], class_id[kept], true_class_id)
    average_precision = found[5]
    return float(average_precision[:, 0].mean()) if len(average_precision) else 0.0

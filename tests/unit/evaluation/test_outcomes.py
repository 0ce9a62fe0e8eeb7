"""What becomes of each box and each object, by TIDE's definitions."""

from __future__ import annotations

import numpy as np
import pytest

from db.error_kinds import ErrorKind
from tests.boxes import Box, Object, imagined, seen_of
from worker.evaluation.outcomes import NOBODY, OUTCOMES, objects_at

APPLE, PEAR = 0, 1
# A square of 100 pixels; each box below is named for its IoU with it.
HERE: Object = (APPLE, 0, 0, 100, 100)
IOU_80 = (0.0, 0.0, 80.0, 100.0)
IOU_40 = (0.0, 0.0, 40.0, 100.0)
IOU_05 = (0.0, 0.0, 5.0, 100.0)
ELSEWHERE = (300.0, 300.0, 400.0, 400.0)


def said(objects: list[Object], boxes: list[Box]) -> list[str]:
    """Outcomes of the boxes, the most confident first."""
    return [OUTCOMES[code] for code in seen_of(objects, boxes).outcomes.code]


@pytest.mark.parametrize(
    ("class_id", "xyxy", "outcome"),
    [
        (APPLE, IOU_80, "correct"),
        (PEAR, IOU_80, ErrorKind.WRONG_CLASS),
        (APPLE, IOU_40, ErrorKind.POOR_LOCALISATION),
        (PEAR, IOU_40, ErrorKind.BOTH),
        (APPLE, IOU_05, ErrorKind.BACKGROUND),
        (PEAR, ELSEWHERE, ErrorKind.BACKGROUND),
    ],
)
def test_a_single_box_is_judged_by_its_class_and_place(
    class_id: int, xyxy: tuple[float, float, float, float], outcome: str
) -> None:
    assert said([HERE], [(class_id, 0.9, *xyxy)]) == [outcome]


def test_the_second_box_of_an_object_is_a_duplicate_however_good() -> None:
    boxes: list[Box] = [(APPLE, 0.9, *IOU_80), (APPLE, 0.8, 0, 0, 100, 100)]
    assert said([HERE], boxes) == ["correct", ErrorKind.DUPLICATE]


def test_a_box_near_its_own_class_is_badly_placed_even_if_it_covers_another_class() -> None:
    other: Object = (PEAR, 0, 0, 40, 100)
    assert said([HERE, other], [(APPLE, 0.9, *IOU_40)]) == [ErrorKind.POOR_LOCALISATION]


def test_a_box_finds_the_object_that_it_overlaps_most_of_those_still_free() -> None:
    beside: Object = (APPLE, 10, 0, 110, 100)
    seen = seen_of([HERE, beside], [(APPLE, 0.9, 0, 0, 102, 100), (APPLE, 0.8, 0, 0, 101, 100)])
    found = seen.outcomes
    assert found.about.tolist() == [0, 1]
    assert found.iou == pytest.approx([100 / 102, 91 / 110], abs=1e-5)


def test_in_an_image_without_objects_every_box_is_on_background() -> None:
    found = seen_of([], [(APPLE, 0.9, *IOU_80)]).outcomes
    assert [OUTCOMES[code] for code in found.code] == [ErrorKind.BACKGROUND]
    assert (found.about.tolist(), found.iou.tolist()) == ([NOBODY], [0])


@pytest.mark.parametrize(
    ("boxes", "outcome"),
    [
        ([], ErrorKind.MISSED),
        ([(APPLE, 0.9, *IOU_80)], "correct"),
        ([(PEAR, 0.9, *IOU_80), (APPLE, 0.6, *IOU_80)], "correct"),
        ([(PEAR, 0.9, *IOU_80), (APPLE, 0.6, *IOU_40)], ErrorKind.WRONG_CLASS),
        ([(PEAR, 0.6, *IOU_80), (APPLE, 0.9, *IOU_40)], ErrorKind.POOR_LOCALISATION),
        ([(PEAR, 0.9, *IOU_40)], ErrorKind.MISSED),
        ([(APPLE, 0.4, *IOU_80)], ErrorKind.MISSED),
    ],
)
def test_an_object_is_what_the_most_confident_box_makes_of_it(
    boxes: list[Box], outcome: str
) -> None:
    seen = seen_of([HERE], boxes)
    code, by = objects_at(seen.outcomes, seen.confidence >= 0.5, 1)
    assert OUTCOMES[code[0]] == outcome
    assert (by[0] == NOBODY) == (outcome == ErrorKind.MISSED)


def test_boxes_that_are_less_confident_change_nothing_for_the_others() -> None:
    for one in imagined(7):
        whole = one.outcomes
        sure = one.confidence >= 0.5
        boxes = zip(one.class_id[sure], one.confidence[sure], one.xyxy[sure], strict=True)
        objects = zip(one.true_class_id, one.true_xyxy, strict=True)
        part = seen_of(
            [(int(number), *xyxy.tolist()) for number, xyxy in objects],
            [(int(number), float(conf), *xyxy.tolist()) for number, conf, xyxy in boxes],
        ).outcomes
        assert part.code.tolist() == whole.code[: sure.sum()].tolist()
        assert part.about.tolist() == whole.about[: sure.sum()].tolist()


def test_what_is_correct_is_what_ultralytics_counts() -> None:
    for one in imagined(8):
        assert np.array_equal(one.outcomes.code == 0, one.correct[:, 0])

"""What each kind of error costs, beside TIDE's own implementation.

The golden numbers are those of tidecv 1.0.1 (`TIDERun` with foreground IoU 0.5 and background IoU
0.1, as many detections as there are) on `imagined(seed)`, each detection and object handed over as
it is there, with one thing changed: its AP, which sums the envelope of the precision at 101 recalls
without lines between the points, was replaced by Ultralytics' `compute_ap`. (With its own AP the
costs are up to 0.3 points of mAP from these; the counts are the same.)
"""

from __future__ import annotations

import polars as pl
import pytest

from db.error_kinds import ErrorKind
from db.errors import Stopped
from tests.boxes import imagined, seen_of
from worker.evaluation.analysis import Analysis, analyse
from worker.evaluation.bootstrap import draws
from worker.evaluation.object_rows import object_rows

NAMES = {0: "apple", 1: "banana", 2: "orange"}
# By seed: of each kind how often, and how many points of mAP50; then false positives and negatives.
GOLDEN = {
    1: (
        {
            ErrorKind.WRONG_CLASS: (13, 2.4245859901133002),
            ErrorKind.POOR_LOCALISATION: (61, 26.73643591909288),
            ErrorKind.BOTH: (16, 3.2371152809868136),
            ErrorKind.DUPLICATE: (19, 0.5707847271934874),
            ErrorKind.BACKGROUND: (48, 2.714248967988798),
            ErrorKind.MISSED: (26, 7.9796416936589445),
        },
        (35.106499715150505, 16.40702071600997),
    ),
    2: (
        {
            ErrorKind.WRONG_CLASS: (14, 4.87957860206312),
            ErrorKind.POOR_LOCALISATION: (60, 24.345295139619726),
            ErrorKind.BOTH: (10, 1.5398896707539294),
            ErrorKind.DUPLICATE: (22, 1.7509267247197329),
            ErrorKind.BACKGROUND: (48, 1.6454267604069912),
            ErrorKind.MISSED: (24, 8.054163149890787),
        },
        (27.37146035010669, 22.905336898174806),
    ),
    3: (
        {
            ErrorKind.WRONG_CLASS: (13, 5.65751895726844),
            ErrorKind.POOR_LOCALISATION: (44, 17.958344348223086),
            ErrorKind.BOTH: (6, 0.540012644349904),
            ErrorKind.DUPLICATE: (22, 1.000688999680282),
            ErrorKind.BACKGROUND: (39, 0.9993279044777488),
            ErrorKind.MISSED: (40, 15.63650071216231),
        },
        (16.31592944446559, 36.6220351737373),
    ),
}


def nothing() -> None:
    """Nobody wants it to stop."""


@pytest.mark.parametrize("seed", GOLDEN)
def test_counts_and_costs_are_those_of_tide(seed: int) -> None:
    kinds, special = GOLDEN[seed]
    found = analyse(imagined(seed), NAMES, 0.0, nothing)
    assert {one.kind: one.count for one in found.errors} == {
        kind: count for kind, (count, _) in kinds.items()
    }
    costs = {one.kind: 100 * one.map50_cost for one in found.errors}
    assert costs == pytest.approx({kind: cost for kind, (_, cost) in kinds.items()}, abs=1e-6)
    assert 100 * found.costs.false_positives == pytest.approx(special[0], abs=1e-6)
    assert 100 * found.costs.false_negatives == pytest.approx(special[1], abs=1e-6)


def test_a_perfect_model_has_no_errors_and_nothing_to_gain() -> None:
    box = (10.0, 10.0, 90.0, 90.0)
    found = analyse([seen_of([(0, *box)], [(0, 0.9, *box)])], NAMES, 0.5, nothing)
    assert {(one.count, one.map50_cost) for one in found.errors} == {(0, 0.0)}
    assert (found.true_positives, found.false_positives, found.false_negatives) == (1, 0, 0)


def test_a_model_that_sees_nothing_misses_everything() -> None:
    box = (10.0, 10.0, 90.0, 90.0)
    found = analyse([seen_of([(0, *box)], []), seen_of([(1, *box)], [])], NAMES, 0.5, nothing)
    assert [one.count for one in found.errors] == [0, 0, 0, 0, 0, 2]
    [rows] = object_rows(found, nothing)
    said = rows.select("outcome", "iou", "matched_class").rows()
    assert said == [("missed", None, None)] * 2
    assert draws([one.seen for one in found.images] * 5, nothing, 10).map50.tolist() == [0.0] * 11


def test_a_class_of_which_everything_is_missed_costs_its_share_of_the_mean() -> None:
    box = (10.0, 10.0, 90.0, 90.0)
    found = analyse(
        [seen_of([(0, *box)], [(0, 0.9, *box)]), seen_of([(1, *box)], [])], NAMES, 0.5, nothing
    )
    costs = {one.kind: one.map50_cost for one in found.errors}
    assert costs[ErrorKind.MISSED] == pytest.approx(0.5, abs=0.01)


def test_every_object_and_every_box_that_counts_is_in_the_confusion_once() -> None:
    found = analyse(imagined(5), NAMES, 0.3, nothing)
    objects = sum(len(one.seen.true_class_id) for one in found.images)
    boxes = sum(int(one.counted.sum()) for one in found.images)
    assert sum(one.count for one in found.confusion if one.true_class is not None) == objects
    assert sum(one.count for one in found.confusion if one.predicted_class is not None) == boxes
    right = sum(one.count for one in found.confusion if one.true_class == one.predicted_class)
    assert right == found.true_positives > 0
    assert sum(one.instances for one in found.misses) == objects
    assert sum(one.found for one in found.misses) == found.true_positives


def test_counts_follow_the_confidence_and_costs_do_not() -> None:
    loose, strict = (analyse(imagined(5), NAMES, confidence, nothing) for confidence in (0.0, 0.5))
    assert strict.false_positives < loose.false_positives
    assert strict.false_negatives > loose.false_negatives
    assert strict.costs == loose.costs


def test_it_can_be_stopped_before_each_cost_and_among_the_images() -> None:
    seen = imagined(5)

    def analysed(calls: int) -> Analysis:
        """Analyse; it is stopped at the call that is one too many."""
        left = iter(range(calls))

        def checkpoint() -> None:
            if next(left, None) is None:
                raise Stopped

        return analyse(seen, NAMES, 0.3, checkpoint)

    of_costs = len(ErrorKind) + 2
    with pytest.raises(Stopped):
        analysed(of_costs)
    assert len(analysed(of_costs + 1).images) == len(seen)


def test_what_was_seen_is_the_same_in_tables_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    found = analyse(imagined(5), NAMES, 0.3, nothing)
    [whole] = object_rows(found, nothing)
    monkeypatch.setattr("worker.evaluation.object_rows._IMAGES_AT_ONCE", 7)
    tables = list(object_rows(found, nothing))
    assert len(tables) == 6
    assert pl.concat(tables).equals(whole)
    images = [str(one.seen.image) for one in found.images]
    assert whole["image"].unique(maintain_order=True).to_list() == [
        path for path in images if path in set(whole["image"])
    ]


def test_writing_what_was_seen_can_be_stopped() -> None:
    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        next(object_rows(analyse(imagined(5), NAMES, 0.3, nothing), stop))


def test_nothing_that_was_seen_is_kept_twice() -> None:
    seen = imagined(5)
    found = analyse(seen, NAMES, 0.3, nothing)
    assert all(one.seen is other for one, other in zip(found.images, seen, strict=True))

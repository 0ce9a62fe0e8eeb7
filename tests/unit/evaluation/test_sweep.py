"""Precision, recall and F1 against confidence, as Ultralytics computes them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.boxes import imagined
from worker.evaluation.sweep import Sweep

NAMES = {0: "apple", 1: "banana", 2: "orange"}


@pytest.fixture(scope="module")
def curves() -> tuple[Sweep, tuple[float, float, float]]:
    """The curves, and Ultralytics' own mean precision, recall and F1."""
    from ultralytics.utils.metrics import ap_per_class

    seen = imagined(6, images=60)
    _, _, precision, recall, f1, _, class_ids, p_curve, r_curve, f1_curve, x, _ = ap_per_class(
        *(
            np.concatenate([getattr(one, name) for one in seen])
            for name in ("correct", "confidence", "class_id", "true_class_id")
        )
    )
    sweep = Sweep(tuple(class_ids.tolist()), x, p_curve, r_curve, f1_curve)
    return sweep, (precision.mean(), recall.mean(), f1.mean())


def test_the_best_confidence_is_the_one_of_ultralytics_metrics(
    curves: tuple[Sweep, tuple[float, float, float]],
) -> None:
    sweep, expected = curves
    assert sweep.best_confidence is not None
    place = sweep.confidence.tolist().index(sweep.best_confidence)
    found = (sweep.precision, sweep.recall, sweep.f1)
    assert tuple(one[:, place].mean() for one in found) == pytest.approx(expected)


def test_a_class_has_a_best_confidence_of_its_own(
    curves: tuple[Sweep, tuple[float, float, float]],
) -> None:
    sweep, _ = curves
    for place, number in enumerate(sweep.class_ids):
        best = sweep.best_confidence_of(number)
        assert best is not None
        there = sweep.f1[place][sweep.confidence.tolist().index(best)]
        assert there > 0.9 * sweep.f1[place].max()


def test_what_finds_nothing_has_no_best_confidence() -> None:
    nothing = np.zeros((2, 1000))
    sweep = Sweep((0, 1), np.linspace(0, 1, 1000), nothing, nothing, nothing)
    assert sweep.best_confidence is None
    assert sweep.best_confidence_of(1) is None


def test_every_point_is_a_row_and_the_mean_comes_first(
    curves: tuple[Sweep, tuple[float, float, float]],
) -> None:
    sweep, _ = curves
    rows = sweep.rows(NAMES)
    assert rows["class"].unique(maintain_order=True).to_list() == [None, *NAMES.values()]
    assert len(rows) == 4 * 1000
    mean = rows.head(1000)["recall"].to_numpy()
    assert mean == pytest.approx(sweep.recall.mean(0))


def test_in_steps_of_a_hundredth_the_ends_are_those_of_the_curves(
    curves: tuple[Sweep, tuple[float, float, float]],
) -> None:
    sweep, _ = curves
    steps = sweep.in_steps()
    assert steps.shape == (4, 101, 4)
    assert steps[0, [0, 50, 100], 0].tolist() == [0, 0.5, 1]
    assert steps[1, [0, 100], 2] == pytest.approx(sweep.recall[0, [0, -1]])
    assert (np.diff(steps[:, :, 2], axis=1) <= 0).all(), "recall falls with confidence"

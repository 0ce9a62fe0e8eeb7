"""Intervals of the difference between two models."""

from __future__ import annotations

import numpy as np
import pytest

from db.errors import Stopped
from tests.boxes import imagined
from worker.evaluation.average_precision import average_precision, rankings
from worker.evaluation.bootstrap import difference, draws


def nothing() -> None:
    """Nobody wants it to stop."""


def test_a_model_is_no_better_than_itself() -> None:
    first, again = (draws(imagined(1), nothing, 50) for _ in range(2))
    found = difference(first.map50, again.map50)
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_the_first_is_the_mean_over_classes_of_the_images_as_they_are() -> None:
    seen = imagined(2)
    ones = np.ones((1, len(seen)), np.int64)
    by_class = [average_precision(one, ones)[0] for one in rankings(seen).values()]
    found = draws(seen, nothing, 20)
    assert found.map50[0] == pytest.approx(np.mean([one[0] for one in by_class]))
    assert found.map50_95[0] == pytest.approx(np.mean(by_class))
    assert found.map50[1:].std() > 0


def test_the_order_of_the_images_does_not_matter() -> None:
    seen = imagined(2)
    assert draws(seen, nothing, 20).map50 == pytest.approx(draws(seen[::-1], nothing, 20).map50)


def test_a_much_better_model_is_clear_of_zero_and_a_lucky_one_is_not() -> None:
    base, good = (draws(imagined(3, slack=slack), nothing, 300) for slack in (0.12, 0.02))
    clear = difference(base.map50, good.map50)
    assert 0 < clear.low < clear.difference < clear.high
    # Drawn on the same images with the same slack: what differs is chance.
    other = draws(imagined(3, slack=0.121), nothing, 300)
    chance = difference(base.map50, other.map50)
    assert chance.low < 0 < chance.high


def test_the_middle_95_percent_of_the_draws_are_the_interval() -> None:
    base = np.zeros(1002)
    other = np.concatenate([[0.5], np.linspace(0, 1, 1001)])
    found = difference(base, other)
    assert (found.difference, found.low, found.high) == pytest.approx((0.5, 0.025, 0.975))


def test_it_can_be_stopped() -> None:
    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        draws(imagined(1), stop, 10)

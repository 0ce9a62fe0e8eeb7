"""Intervals of the difference between two models."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from db.comparison_results import MIN_IMAGES
from db.errors import Stopped
from tests.boxes import imagined, seen_of
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
    assert clear.low is not None
    assert clear.high is not None
    assert 0 < clear.low < clear.difference < clear.high
    # Drawn on the same images with the same slack: what differs is chance.
    other = draws(imagined(3, slack=0.121), nothing, 300)
    chance = difference(base.map50, other.map50)
    assert chance.low is not None
    assert chance.high is not None
    assert chance.low < 0 < chance.high


def test_the_middle_95_percent_of_the_draws_are_the_interval() -> None:
    base = np.zeros(1002)
    other = np.concatenate([[0.5], np.linspace(0, 1, 1001)])
    found = difference(base, other)
    assert (found.difference, found.low, found.high) == pytest.approx((0.5, 0.025, 0.975))


def test_draws_are_the_same_as_if_all_were_made_at_once() -> None:
    seen = imagined(2, images=30)
    weights = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30), 120)
    by_class = [average_precision(one, weights) for one in rankings(seen).values()]
    expected = np.nanmean(by_class, axis=0)
    found = draws(seen, nothing, 120)
    assert found.map50[1:] == pytest.approx(expected[:, 0])
    assert found.map50_95[1:] == pytest.approx(expected.mean(axis=1))


def test_memory_does_not_grow_with_images_times_draws() -> None:
    empty = seen_of([], [])
    seen = [replace(empty, image=Path(f"{number:05}.jpg")) for number in range(3000)]
    box = (10.0, 10.0, 90.0, 90.0)
    seen.append(seen_of([(0, *box)], [(0, 0.9, *box)]))
    tracemalloc.start()
    try:
        draws(seen, nothing, 1000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1000 * len(seen) * 8 / 4, "a quarter of a table of all images in all draws"


def test_few_images_give_a_difference_and_no_interval() -> None:
    for images in (1, MIN_IMAGES - 1, MIN_IMAGES):
        base, other = (draws(imagined(3, images, slack=slack), nothing, 50) for slack in (0.1, 0))
        found = difference(base.map50, other.map50)
        assert found.difference == other.map50[0] - base.map50[0]
        assert (found.low is None, found.high is None) == (images < MIN_IMAGES,) * 2


def test_it_can_be_stopped() -> None:
    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        draws(imagined(1), stop, 10)

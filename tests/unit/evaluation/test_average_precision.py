"""Average precision with weights, beside Ultralytics' own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.boxes import imagined, seen_of
from worker.evaluation.average_precision import average_precision, rankings
from worker.evaluation.seen import Seen


def ultralytics(seen: Sequence[Seen]) -> dict[int, NDArray[np.float64]]:
    """Average precision of each class, at each IoU."""
    from ultralytics.utils.metrics import ap_per_class

    found = ap_per_class(
        *(
            np.concatenate([getattr(one, name) for one in seen])
            for name in ("correct", "confidence", "class_id", "true_class_id")
        )
    )
    return dict(zip(found[6].tolist(), found[5], strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_with_equal_weights_it_is_that_of_ultralytics(seed: int) -> None:
    seen = imagined(seed, images=60, slack=0.04)
    expected = ultralytics(seen)
    found = rankings(seen)
    assert set(found) == set(expected)
    for number, ranking in found.items():
        ones, twos = average_precision(ranking, np.array([[1] * 60, [2] * 60]))
        assert ones == pytest.approx(expected[number], abs=1e-9)
        assert twos == pytest.approx(expected[number], abs=1e-9)


def test_an_image_of_weight_0_is_not_there() -> None:
    seen = imagined(3, images=30)
    weights = np.arange(30) % 2
    expected = ultralytics([one for one, weight in zip(seen, weights, strict=True) if weight])
    for number, ranking in rankings(seen).items():
        [found] = average_precision(ranking, weights[None])
        assert found == pytest.approx(expected[number], abs=1e-9)


def test_more_weight_for_an_image_that_goes_well_is_better() -> None:
    box = (10.0, 10.0, 90.0, 90.0)
    good, bad = seen_of([(0, *box)], [(0, 0.9, *box)]), seen_of([(0, *box)], [])
    even, better = average_precision(rankings([good, bad])[0], np.array([[1, 1], [3, 1]]))
    assert (even[0], better[0]) == pytest.approx((0.5, 0.75), abs=0.01)


def test_a_weight_is_as_good_as_that_many_copies() -> None:
    seen = imagined(4, images=30)
    weights = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30))
    copies = [one for one, weight in zip(seen, weights, strict=True) for _ in range(weight)]
    expected = ultralytics(copies)
    for number, ranking in rankings(seen).items():
        [found] = average_precision(ranking, weights[None])
        # Between two copies of a box the curve of the copies has one more point.
        assert found == pytest.approx(expected[number], abs=0.01)


def test_a_class_without_objects_that_count_has_none() -> None:
    box = (10.0, 10.0, 90.0, 90.0)
    ranking = rankings([seen_of([(0, *box)], []), seen_of([], [(0, 0.9, *box)])])[0]
    found = average_precision(ranking, np.array([[0, 1], [1, 1]]))
    assert np.isnan(found[0]).all()
    assert found[1].tolist() == [0.0] * 10

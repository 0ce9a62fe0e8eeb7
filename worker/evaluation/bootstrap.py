"""Whether one model is better than another, or was only lucky with the images.

Images are drawn with replacement, as many as there are, and both models are measured on the same
draw; over many draws, the middle 95 % of the differences are the interval (the percentile method:
Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from db.comparison_results import MIN_IMAGES
from worker.evaluation.average_precision import Ranking, average_precision, rankings
from worker.evaluation.seen import Seen

RESAMPLES: Final = 1000
_SEED = 0
_ENDS = (2.5, 97.5)
# Draws whose weights are in memory together: some tens of megabytes, and seconds.
_DRAWN_AT_ONCE = 50
# Numbers in one table of draws and boxes: some megabytes.
_AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference of two models, and the ends of its 95 % interval; positive is better.

    The ends are None where there are too few images to tell.
    """

    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Draws:
    """A model's mean average precision, on the images as they are and on draws of them.

    There are no draws of fewer than `MIN_IMAGES` images.

    Attributes:
        map50, map50_95: float64 (1 + draws,), the first on the images as they are.
    """

    map50: NDArray[np.float64]
    map50_95: NDArray[np.float64]


def draws(
    seen: Sequence[Seen], checkpoint: Callable[[], None], resamples: int = RESAMPLES
) -> Draws:
    """Measure a model on draws of the images; the same draws for all models on the same images.

    Args:
        seen: what the model saw in each image, and what is there.
        checkpoint: called now and then; what it raises ends it.
        resamples: how many draws.
    """
    checkpoint()
    ranked = rankings(sorted(seen, key=lambda one: str(one.image))).values()
    means = [
        _means(ranked, weights, checkpoint)
        for weights in _weightings(len(seen), resamples if len(seen) >= MIN_IMAGES else 0)
    ]
    mean = np.vstack(means)
    return Draws(mean[:, 0], mean.mean(axis=1))


def _weightings(count: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    """How often each image counts: each once, and then as it is drawn, some draws at a time.

    Returns:
        int64 (b, count), one after the other.
    """
    yield np.ones((1, count), np.int64)
    rng = np.random.default_rng(_SEED)
    for first in range(0, resamples, _DRAWN_AT_ONCE):
        size = min(_DRAWN_AT_ONCE, resamples - first)
        yield rng.multinomial(count, np.full(count, 1 / count), size)


def _means(
    ranked: Iterable[Ranking], weights: NDArray[np.int64], checkpoint: Callable[[], None]
) -> NDArray[np.float64]:
    """Average precision in each draw, the mean over the classes that have objects in it.

    Returns:
        float64 (b, 10), at IoU 0.5, 0.55, ..., 0.95.
    """
    total, present = np.zeros((len(weights), 10)), np.zeros((len(weights), 1))
    for ranking in ranked:
        found = _in_parts(ranking, weights, checkpoint)
        there = ~np.isnan(found[:, :1])
        total += np.where(there, found, 0)
        present += there
    return np.asarray(total / np.maximum(present, 1), np.float64)


def _in_parts(
    ranking: Ranking, weights: NDArray[np.int64], checkpoint: Callable[[], None]
) -> NDArray[np.float64]:
    """Average precision in each draw, a few draws at a time."""
    size = max(1, _AT_ONCE // max(1, len(ranking.image)))
    parts = []
    for first in range(0, len(weights), size):
        checkpoint()
        parts.append(average_precision(ranking, weights[first : first + size]))
    return np.vstack(parts)


def difference(base: NDArray[np.float64], other: NDArray[np.float64]) -> Interval:
    """How much better a model is than the base.

    Args:
        base: float64 (1 + draws,), of the base: on the images as they are, and on draws of them.
        other: the same of the other model.
    """
    differences = other - base
    if len(differences) == 1:
        return Interval(float(differences[0]), None, None)
    low, high = np.percentile(differences[1:], _ENDS)
    return Interval(float(differences[0]), float(low), float(high))

"""Whether one model is better than another, or was only lucky with the images.

Images are drawn with replacement, as many as there are, and both models are measured on the same
draw; over many draws, the middle 95 % of the differences are the interval (the percentile method:
Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.evaluation.average_precision import Ranking, average_precision, rankings
from worker.evaluation.seen import Seen

RESAMPLES: Final = 1000
_SEED = 0
_ENDS = (2.5, 97.5)
# Numbers in one table of draws and boxes: some tens of megabytes.
_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference of two models, and the ends of its 95 % interval; positive is better."""

    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Draws:
    """A model's mean average precision, on the images as they are and on draws of them.

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
    in_order = sorted(seen, key=lambda one: str(one.image))
    count = len(in_order)
    drawn = np.random.default_rng(_SEED).multinomial(count, np.full(count, 1 / count), resamples)
    weights = np.vstack([np.ones((1, count), drawn.dtype), drawn])
    total, present = np.zeros((len(weights), 10)), np.zeros((len(weights), 1))
    for ranking in rankings(in_order).values():
        found = _in_parts(ranking, weights, checkpoint)
        there = ~np.isnan(found[:, :1])
        total += np.where(there, found, 0)
        present += there
    mean = total / np.maximum(present, 1)
    return Draws(mean[:, 0], mean.mean(axis=1))


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
    low, high = np.percentile(differences[1:], _ENDS)
    return Interval(float(differences[0]), float(low), float(high))

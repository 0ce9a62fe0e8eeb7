"""The filter equals a textbook Kalman filter, over gaps too, where Norfair's does not."""

from __future__ import annotations

import numpy as np
import pytest
from norfair.filter import OptimizedKalmanFilterFactory
from numpy.typing import NDArray

from worker.track_filter import GapAwareKalmanFilterFactory


class TextbookFilter:
    """Position and velocity of one coordinate: x = F x, P = F P F' + Q; then the update by gain."""

    def __init__(self, position: float) -> None:
        noise = OptimizedKalmanFilterFactory()
        self.x = np.array([position, 0.0])
        self.P = np.diag([float(noise.pos_variance), float(noise.vel_variance)])
        self.Q = noise.Q * np.eye(2)
        self.R = noise.R

    def predict(self) -> None:
        F = np.array([[1.0, 1.0], [0.0, 1.0]])  # noqa: N806
        self.x = F @ self.x
        self.P = F @ self.P @ F.T + self.Q

    def update(self, measured: float) -> None:
        gain = self.P[:, 0] / (self.P[0, 0] + self.R)
        self.x = self.x + gain * (measured - self.x[0])
        self.P = self.P - np.outer(gain, self.P[0])


def corners(frame: int) -> NDArray[np.float64]:
    """A box that comes down, slows, and wobbles, (4,)."""
    y = 150 * (1 - 0.9**frame) + np.sin(7.0 * frame)
    return np.array([100.0, y, 160.0 + 0.3 * frame, y + 200])


def estimates(
    factory: OptimizedKalmanFilterFactory, seen: set[int], frames: int
) -> NDArray[np.float64]:
    filter_ = factory.create_filter(corners(0).reshape(2, 2))
    found = [filter_.x[:4, 0].copy()]
    for frame in range(1, frames):
        filter_.predict()
        if frame in seen:
            filter_.update(corners(frame).reshape(-1, 1), None, np.eye(4, 8))
        found.append(filter_.x[:4, 0].copy())
    return np.array(found)


def textbook(seen: set[int], frames: int) -> NDArray[np.float64]:
    filters = [TextbookFilter(coordinate) for coordinate in corners(0)]
    found = [[one.x[0] for one in filters]]
    for frame in range(1, frames):
        for one, coordinate in zip(filters, corners(frame), strict=True):
            one.predict()
            if frame in seen:
                one.update(coordinate)
        found.append([one.x[0] for one in filters])
    return np.array(found)


def test_over_gaps_the_filter_is_the_textbook_one_and_norfairs_is_not() -> None:
    seen = {*range(12), *range(34, 38), *range(55, 60), 70}

    expected = textbook(seen, 90)

    assert estimates(GapAwareKalmanFilterFactory(), seen, 90) == pytest.approx(expected)
    plain = estimates(OptimizedKalmanFilterFactory(), seen, 90)
    assert np.abs(plain - expected).max() > 50


def test_without_gaps_the_filter_is_norfairs_to_the_last_bit() -> None:
    seen = set(range(60))

    ours = estimates(GapAwareKalmanFilterFactory(), seen, 60)

    assert np.array_equal(ours, estimates(OptimizedKalmanFilterFactory(), seen, 60))

"""Norfair's Kalman filter, made to lose confidence while a track is not seen."""

from __future__ import annotations

import numpy as np
from norfair.filter import OptimizedKalmanFilter, OptimizedKalmanFilterFactory
from numpy.typing import NDArray


class GapAwareKalmanFilter(OptimizedKalmanFilter):
    """Equal to Norfair's while every frame has a detection, and correct over gaps.

    Norfair's filter (2.3.0) works the growth of the covariance into `update`, once, however many
    times `predict` came before. After a gap of 20 frames it therefore takes the whole jump for the
    motion of one frame, and the box runs away or shrinks to nothing. Here each further `predict`
    propagates the covariance P by the same model: F P F' + q I, with F = [[1, 1], [0, 1]] for a
    coordinate and its velocity (Kalman, A New Approach to Linear Filtering, 1960).
    """

    _predicted = False

    def predict(self) -> None:
        """Move on by one frame."""
        if self._predicted:
            self.pos_variance = (
                self.pos_variance + 2 * self.pos_vel_covariance + self.vel_variance + self.q_Q
            )
            self.pos_vel_covariance = self.pos_vel_covariance + self.vel_variance
            self.vel_variance = self.vel_variance + self.q_Q
        super().predict()  # type: ignore[no-untyped-call]
        self._predicted = True

    def update(
        self,
        detection_points_flatten: NDArray[np.float64],
        R: NDArray[np.float64] | None = None,  # noqa: N803  (Norfair's name)
        H: NDArray[np.float64] | None = None,  # noqa: N803  (Norfair's name)
    ) -> None:
        """Take a detection, (4, 1), for the frame that `predict` came to."""
        super().update(detection_points_flatten, R, H)  # type: ignore[no-untyped-call]
        self._predicted = False


class GapAwareKalmanFilterFactory(OptimizedKalmanFilterFactory):
    """Makes filters with Norfair's own noise values (R = 4, Q = 0.1)."""

    def create_filter(self, initial_detection: NDArray[np.float64]) -> GapAwareKalmanFilter:
        """A filter for an object first seen at `initial_detection`, (2, 2), standing still."""
        size = initial_detection.size
        made = GapAwareKalmanFilter(  # type: ignore[no-untyped-call]
            2 * size,
            size,
            pos_variance=self.pos_variance,
            pos_vel_covariance=self.pos_vel_covariance,
            vel_variance=self.vel_variance,
            q=self.Q,
            r=self.R,
        )
        made.x[:size] = initial_detection.reshape(-1, 1)
        return made

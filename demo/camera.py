"""The camera over the scene: lens shading, softness, flicker and sensor noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from demo.shading import Array, f32

_SLACK_PX = 48
"""How much larger than the frame the noise pattern is, so that each frame can take another part."""


@dataclass(frozen=True)
class Camera:
    """How light becomes pixels.

    `shading` (H, W, 3) is the gain of each pixel, `softness_px` the deviation of the lens blur,
    `grain` a noise pattern in grey levels larger than the frame, and `flicker` the relative change
    of exposure from frame to frame.
    """

    shading: Array
    softness_px: float
    grain: Array
    flicker: float
    seed: int

    @staticmethod
    def drawn(width: int, height: int, rng: np.random.Generator) -> Camera:
        """A camera of ordinary quality, mounted above a scene that is lit a little unevenly."""
        x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        away = np.hypot(x - rng.uniform(-0.5, 0.5), y - rng.uniform(-0.5, 0.5))
        shading = rng.uniform(0.92, 1.12) * (1 - rng.uniform(0.04, 0.14) * away**2)
        shape = (height + _SLACK_PX, width + _SLACK_PX, 3)
        grain = rng.normal(0, rng.uniform(1.5, 5.0), shape)
        return Camera(
            f32(np.repeat(shading[..., None], 3, axis=2)),
            float(rng.uniform(0.35, 0.85)) * height / 360,
            f32(grain),
            0.008,
            int(rng.integers(2**31)),
        )

    def expose(self, scene: Array, frame: int) -> npt.NDArray[np.uint8]:
        """The uint8 (H, W, 3) BGR picture taken of `scene`, BGR in 0..255, at this frame."""
        rng = np.random.default_rng((self.seed, frame))
        height, width = scene.shape[:2]
        row, column = rng.integers(0, _SLACK_PX, 2)
        grain = self.grain[row : row + height, column : column + width]
        exposure = 1 + self.flicker * rng.standard_normal()
        lit = cv2.multiply(scene, self.shading, scale=exposure)
        soft = cv2.GaussianBlur(lit, (0, 0), self.softness_px) if self.softness_px > 0 else lit
        return np.asarray(cv2.add(soft, grain, dtype=cv2.CV_8U), np.uint8)

"""What every detector backend can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model saw in one image, the most confident first.

    Attributes:
        xyxy: float32 (n, 4), corners in pixels of the image.
        confidence: float32 (n,), 0 to 1, descending.
        class_id: int32 (n,), index into the model's class names.
        limited: whether there was more to see than a limit on the number of boxes let through.
    """

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int32]
    limited: bool


class Detector(Protocol):
    """A model on a device, with the thresholds it was made for.

    Attributes:
        class_names: name of each class id, from 0, without gaps.
        batch_size: how many images at once suit the device.
    """

    class_names: dict[int, str]
    batch_size: int

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[Seen]:
        """What is in each image.

        Args:
            frames: one or more images, uint8 (height, width, 3), BGR, all of one shape.

        Returns:
            One `Seen` per image, in the order of the images.
        """
        ...

"""What a model saw in the images of a data set, beside what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.evaluation.outcomes import Outcomes


@dataclass(frozen=True, slots=True)
class Seen:
    """What the model saw in one image, and what is in it, of the classes that count.

    Attributes:
        image: the original file.
        width, height: of the image, in pixels.
        xyxy: float32 (n, 4), boxes in pixels of the image, the most confident first.
        confidence: float32 (n,), 0 to 1.
        class_id: int32 (n,), the model's.
        true_xyxy: float32 (m, 4), boxes of the objects in it.
        true_class_id: int32 (m,), the model's.
        correct: bool (n, 10), whether Ultralytics counts the box as a true positive at IoU 0.5,
            0.55, ..., 0.95.
        outcomes: what became of each box.
    """

    image: Path
    width: int
    height: int
    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int32]
    true_xyxy: NDArray[np.float32]
    true_class_id: NDArray[np.int32]
    correct: NDArray[np.bool_]
    outcomes: Outcomes

"""What a model saw in the images of a data set, beside what is in them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Seen:
    """What the model saw in one image, and what is in it.

    Attributes:
        image: the original file.
        width, height: of the image, in pixels.
        xyxy: float32 (n, 4), boxes in pixels of the image, the most confident first.
        confidence: float32 (n,), 0 to 1.
        class_id: int32 (n,), the model's.
        true_xyxy: float32 (m, 4), boxes of the objects in it.
        true_class_id: int32 (m,), the model's.
        overlap: float32 (m, n), IoU of each object with each box, as Ultralytics has it: in the
            image that the model was shown, where boxes may reach over the edge.
        correct: bool (n, 10), whether Ultralytics counts the box as a true positive at IoU 0.5,
            0.55, ..., 0.95.
    """

    image: Path
    width: int
    height: int
    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int32]
    true_xyxy: NDArray[np.float32]
    true_class_id: NDArray[np.int32]
    overlap: NDArray[np.float32]
    correct: NDArray[np.bool_]

    def of_classes(self, class_ids: Collection[int]) -> Seen:
        """The boxes and objects of these classes."""
        boxes = np.isin(self.class_id, list(class_ids))
        objects = np.isin(self.true_class_id, list(class_ids))
        return Seen(
            self.image,
            self.width,
            self.height,
            self.xyxy[boxes],
            self.confidence[boxes],
            self.class_id[boxes],
            self.true_xyxy[objects],
            self.true_class_id[objects],
            self.overlap[np.ix_(objects, boxes)],
            self.correct[boxes],
        )

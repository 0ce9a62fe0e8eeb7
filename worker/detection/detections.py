"""The detections of one frame, as every stage of the pipeline passes them on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detections:
    """What a model saw in one frame of a video.

    Attributes:
        frame: number of the frame in the video, from 0.
        time_s: presentation time of the frame in seconds, from the start of the video.
        xyxy: float32 (n, 4), corners in pixels of the source frame.
        confidence: float32 (n,), 0 to 1.
        class_id: int32 (n,), index into the model's class names.
    """

    frame: int
    time_s: float
    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.confidence)

    def where(self, keep: NDArray[np.bool_]) -> Detections:
        """The detections for which the mask `keep`, bool (n,), is true."""
        return Detections(
            self.frame, self.time_s, self.xyxy[keep], self.confidence[keep], self.class_id[keep]
        )

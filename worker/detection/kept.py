"""The detector of the last job, kept for the next: loading one takes seconds."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from worker.detection.detector import Detector


@lru_cache(maxsize=1)
def kept_detector(
    weights: Path, device: str, conf: float, iou: float, imgsz: int, max_det: int
) -> Detector:
    """The detector for these arguments; the one before it is let go, and its memory."""
    from worker.detection.ultralytics_yolo import UltralyticsYolo  # torch: seconds, and GBs

    return UltralyticsYolo(weights, device, conf, iou, imgsz, max_det)

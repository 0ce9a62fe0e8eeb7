"""Detection with YOLOv8 through Ultralytics, on a processor or a CUDA device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

# Its import makes Ultralytics' NMS use torchvision's, as `YOLO.predict` does.
import torchvision  # type: ignore[import-untyped]  # noqa: F401
from numpy.typing import NDArray
from ultralytics.data.augment import LetterBox
from ultralytics.nn.autobackend import AutoBackend
from ultralytics.utils.checks import check_imgsz
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.ops import scale_boxes

from db.errors import UsageError
from worker.checkpoint import load
from worker.detection.detector import Seen

# Boxes that enter NMS in one image: Ultralytics' own default. No frame at 640 pixels has that
# many (there are 8400 places for a box); on larger ones reaching it is recorded.
_MAX_NMS = 30_000

# A processor gains nothing from batches (measured at 640: 1 to 8 images take the same time each).
_BATCH_ON_CPU = 1
_BATCH_ON_CUDA = 16


class UltralyticsYolo:
    """A YOLOv8 checkpoint whose detections equal those of `YOLO(weights).predict(...)`.

    The steps are those of Ultralytics' predictor (letterbox, fused model, class-aware NMS, boxes
    scaled back) without its sources, callbacks and result objects, and with limits that are seen:
    NMS has no time limit, under which it would leave the rest of a batch empty, and a frame with
    more than `max_det` boxes says so.

    Attributes:
        class_names: name of each class id, from 0, without gaps.
        batch_size: how many images at once suit the device.
    """

    def __init__(
        self,
        weights: Path,
        device: str = "cpu",
        conf: float = 0.1,
        iou: float = 0.7,
        imgsz: int = 640,
        max_det: int = 1000,
        half: bool = False,
    ) -> None:
        """Load the checkpoint onto the device.

        Args:
            weights: a YOLOv8 detection checkpoint.
            device: `cpu`, `cuda:0`.
            conf: boxes up to and including this confidence are dropped, 0 to 1.
            iou: IoU above which NMS drops the weaker of two boxes of a class, 0 to 1.
            imgsz: the longer side of the image is scaled to this many pixels.
            max_det: the most boxes that one image may have.
            half: run the model in half precision; on CUDA devices only.

        Raises:
            ModelError: the file is no YOLOv8 detection checkpoint.
            UsageError: the device is not there, or cannot do half precision.
        """
        self._device = torch_device(device, half)
        self._conf = conf
        self._iou = iou
        self._max_det = max_det
        self._model = AutoBackend(load(weights), device=self._device, fp16=half, verbose=False)
        self._model.eval()
        stride = self._model.stride
        size = check_imgsz(imgsz, stride, min_dim=2)  # type: ignore[no-untyped-call]
        self._letterbox = LetterBox(size, auto=True, stride=stride)
        self.class_names: dict[int, str] = dict(self._model.names)
        self.batch_size = _BATCH_ON_CUDA if self._device.type == "cuda" else _BATCH_ON_CPU

    @torch.inference_mode()
    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[Seen]:
        """What is in each image.

        Args:
            frames: one or more images, uint8 (height, width, 3), BGR, all of one shape.

        Returns:
            One `Seen` per image, in the order of the images.
        """
        images = self._preprocess(frames)
        predictions = self._model(images)[0]
        kept = non_max_suppression(
            predictions,
            self._conf,
            self._iou,
            max_det=self._max_det + 1,  # one more than is kept, to see that there was more
            max_time_img=math.inf,
            max_nms=_MAX_NMS,
        )
        crowded = self._crowded(predictions)
        return [
            self._seen(boxes, limited, images, frame)
            for boxes, limited, frame in zip(kept, crowded, frames, strict=True)
        ]

    def _preprocess(self, frames: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        """float32 or float16 (n, 3, height, width), RGB, 0 to 1, letterboxed."""
        boxed = np.stack([np.asarray(self._letterbox(image=frame)) for frame in frames])
        images = torch.from_numpy(boxed).to(self._device).permute(0, 3, 1, 2).contiguous().flip(1)
        return (images.half() if self._model.fp16 else images.float()).div_(255)

    def _crowded(self, predictions: torch.Tensor) -> list[bool]:
        """Per image, whether NMS had more candidates than it takes."""
        if predictions.shape[-1] <= _MAX_NMS:
            return [False] * len(predictions)
        candidates = (predictions[:, 4:].amax(1) > self._conf).sum(1)
        return [int(n) > _MAX_NMS for n in candidates]

    def _seen(
        self, boxes: torch.Tensor, crowded: bool, images: torch.Tensor, frame: NDArray[np.uint8]
    ) -> Seen:
        limited = crowded or len(boxes) > self._max_det
        rows = boxes[: self._max_det]
        # In place: to pixels of the frame, and clipped to it.
        scale_boxes(_size(images.shape[2:]), rows[:, :4], _size(frame.shape[:2]))
        found = rows.cpu().numpy()
        return Seen(
            xyxy=np.ascontiguousarray(found[:, :4]),
            confidence=np.ascontiguousarray(found[:, 4]),
            class_id=found[:, 5].astype(np.int32),
            limited=limited,
        )


def _size(shape: Sequence[int]) -> tuple[int, int]:
    height, width = shape
    return height, width


def torch_device(name: str, half: bool = False) -> torch.device:
    """The device of this name.

    Raises:
        UsageError: it is not there, or cannot do half precision where that is wanted.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"{name!r} is no device; try `cpu` or `cuda:0`") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"the device must be `cpu` or a CUDA device, not {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"{name}: this machine has {torch.cuda.device_count()} CUDA devices")
    if half and device.type != "cuda":
        raise UsageError(f"half precision needs a CUDA device, not {name}")
    return device

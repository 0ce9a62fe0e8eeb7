"""All that detections depend on, and the address that follows from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Self

from db.specs import DetectSpec, Segment, TrackSpec
from worker.ultralytics_env import backend_name

# Ultralytics keeps 300 boxes a frame; a full shelf has more products than that.
MAX_DET = 1000

# Below this confidence a box is noise: a lower floor would store much and serve nobody who does
# not ask for it.
_FLOOR = 0.1

# Changed when the layout of what is stored changes, so that old sets are not found any more.
_LAYOUT = 3


def floor_for(conf: float) -> float:
    """The confidence down to which detections are made and stored for somebody who asks for `conf`.

    What is stored at the floor serves every `conf` above it, exactly: NMS goes through the boxes
    of a class from the most confident down, and drops a box only for one that is more confident.
    So boxes below `conf` have no say in the fate of those above it, and dropping them before NMS or
    after it is the same. That holds where a limit was reached too, since what a limit keeps is
    the most confident; only that it was reached is then said of the floor, and may not be
    true of `conf`.
    """
    return min(conf, _FLOOR)


@dataclass(frozen=True, slots=True)
class DetectionKey:
    """All that detections depend on.

    Attributes:
        video_sha256: content of the video.
        model_sha256: content of the checkpoint.
        imgsz: inference size, pixels.
        conf_floor: confidence above which boxes were kept, 0 to 1.
        iou: IoU above which NMS dropped the weaker box, 0 to 1.
        max_det: the most boxes that a frame may have.
        backend: what ran the model, with all that changes the numbers.
        stride: every how many frames the model looked.
        first_pts, end_pts: of the segment, in units of the stream's time base; None for an end of
            the video.
    """

    video_sha256: str
    model_sha256: str
    imgsz: int
    conf_floor: float
    iou: float
    max_det: int
    backend: str
    stride: int
    first_pts: int | None = None
    end_pts: int | None = None

    @classmethod
    def of(cls, spec: TrackSpec | DetectSpec, device: str) -> Self:
        """The key of what a job looks at: a whole video, or one segment of it.

        Args:
            spec: the job's.
            device: the worker's own; a spec may name another.
        """
        key = cls(
            video_sha256=spec.video_sha256,
            model_sha256=spec.model_sha256,
            imgsz=spec.imgsz,
            conf_floor=floor_for(spec.conf) if isinstance(spec, TrackSpec) else spec.conf_floor,
            iou=spec.iou,
            max_det=MAX_DET,
            backend=backend_name(spec.device or device),
            stride=spec.stride,
        )
        return key.part(spec.segment) if isinstance(spec, DetectSpec) else key

    def part(self, segment: Segment) -> Self:
        """The key of one segment of the same video."""
        return replace(self, first_pts=segment.first_pts, end_pts=segment.end_pts)

    @property
    def digest(self) -> str:
        """SHA-256 of the key as canonical JSON, 64 hexadecimal digits."""
        facts = {"layout": _LAYOUT} | asdict(self)
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def parts_address(self) -> PurePosixPath:
        """Where under `home` the sets of all segments of the same video lie, and that of it all."""
        digest = replace(self, first_pts=None, end_pts=None).digest
        return PurePosixPath("detections") / digest[:2] / digest

    @property
    def address(self) -> PurePosixPath:
        """Where under `home` the set lies: a folder."""
        whole = self.first_pts is None and self.end_pts is None
        return self.parts_address / ("whole" if whole else f"{self.first_pts}_{self.end_pts}")

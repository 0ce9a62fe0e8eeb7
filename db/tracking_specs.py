"""What may be asked of a video: tracks, and the detections of a segment of it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from db.spec import AbsolutePath, QueueClass, Sha256, Spec, shown


class TrackerOptions(BaseModel):
    """How detections become tracks, in Norfair's own words.

    The defaults were chosen by measurement: see docs/tracking.md.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    distance_function: Literal["iou", "euclidean"] = Field(
        "iou",
        description="`iou` is 1 - IoU of the boxes (0 to 1); `euclidean` is the length of the "
        "difference of (x1, y1, x2, y2), in pixels: a box that moves by d is 1.41 d away.",
    )
    distance_threshold: float = Field(
        0.7, gt=0, description="a detection further than this from a track is not matched to it"
    )
    hit_counter_max: int = Field(
        30, ge=1, description="how many frames a track outlives its last detection"
    )
    initialization_delay: int = Field(
        7, ge=0, description="how many frames a track must be seen before it counts"
    )

    @model_validator(mode="after")
    def _delay_is_reachable(self) -> TrackerOptions:
        if self.initialization_delay >= self.hit_counter_max:
            raise ValueError(
                f"initialization_delay ({self.initialization_delay}) must be less than "
                f"hit_counter_max ({self.hit_counter_max}), or no track would ever begin"
            )
        if self.distance_function == "iou" and self.distance_threshold > 1:
            raise ValueError(
                f"distance_threshold is {self.distance_threshold}, but an iou distance is at most 1"
            )
        return self


class TrackSpec(Spec):
    """Detect and track the products in one video."""

    queue_class: ClassVar[QueueClass] = QueueClass.GPU
    addresses: ClassVar[frozenset[str]] = frozenset({"video", "model"})

    kind: Literal["track"] = "track"
    video: AbsolutePath
    video_sha256: Sha256
    model: str = Field(description="the name under which the model was registered")
    model_sha256: Sha256
    conf: float = Field(0.25, ge=0, le=1, description="detections below this are not tracked")
    iou: float = Field(0.7, gt=0, le=1, description="IoU above which NMS drops the weaker box")
    imgsz: int = Field(640, ge=32, le=4096, multiple_of=32, description="inference size, pixels")
    classes: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None, description="only these classes; all if None"
    )
    stride: int = Field(1, ge=1, description="look at every n-th frame")
    device: str | None = Field(None, description="`cpu`, `cuda:0`; the worker's own if None")
    tracker: TrackerOptions = TrackerOptions()
    annotate: bool = Field(False, description="write an H.264 video with the tracks drawn")

    @model_validator(mode="after")
    def _tracks_outlive_the_stride(self) -> TrackSpec:
        if self.stride > self.tracker.hit_counter_max:
            raise ValueError(
                f"with a stride of {self.stride}, hit_counter_max must be at least {self.stride}, "
                f"not {self.tracker.hit_counter_max}, or tracks end between two frames looked at"
            )
        return self

    @property
    def label(self) -> str:
        """The few words by which a person knows the job in a list or in Flower."""
        return f"{shown(self.video)} · {self.model}"


class Segment(BaseModel):
    """A part of a video that can be decoded on its own: it begins at a key frame.

    Times are presentation timestamps in units of the stream's own time base, and so exact.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=0, description="from 0")
    of: int = Field(ge=1, description="segments of the video")
    first_pts: int | None = Field(description="its frames are not before this; None: the start")
    end_pts: int | None = Field(description="its frames are before this; None: the end")
    first_frame: int = Field(ge=0, description="number of its first frame in the whole video")
    frames: int | None = Field(description="as the container's index has it; None: unknown")
    start_pts: int | None = Field(description="of the video's first frame: times count from it")

    @classmethod
    def whole(cls) -> Self:
        """All of a video, as one part."""
        return cls(
            number=0,
            of=1,
            first_pts=None,
            end_pts=None,
            first_frame=0,
            frames=None,
            start_pts=None,
        )


class DetectSpec(Spec):
    """Look at one segment of a video, and keep what was seen for the job that tracks."""

    queue_class: ClassVar[QueueClass] = QueueClass.GPU
    addresses: ClassVar[frozenset[str]] = frozenset({"video", "model"})

    kind: Literal["detect"] = "detect"
    video: AbsolutePath
    video_sha256: Sha256
    model: str
    model_sha256: Sha256
    conf_floor: float = Field(ge=0, le=1)
    iou: float = Field(gt=0, le=1)
    imgsz: int = Field(ge=32, le=4096, multiple_of=32)
    stride: int = Field(ge=1)
    device: str | None
    segment: Segment

    @property
    def label(self) -> str:
        """The few words by which a person knows the job in a list or in Flower."""
        part = f"{self.segment.number + 1}/{self.segment.of}"
        return f"{shown(self.video)} {part} · {self.model}"

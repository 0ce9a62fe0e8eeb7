"""Decode a video frame by frame, each frame with its own time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from db.errors import VideoError
from db.one_line import printable
from db.specs import Segment
from worker.video_container import open_video
from worker.video_pictures import Pictures
from worker.video_seeking import reaches, start_at
from worker.video_times import Times

# By how much a video may fall short of the duration its container states before that is called
# damage: sound often outlasts the pictures by a part of a second.
_SHORTFALL_S = 1.0


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a container claims about its video.

    Attributes:
        width: pixels, as displayed: after the rotation that the file asks for.
        height: pixels, likewise.
        fps: average frames per second; 0 where the container does not say.
        frames_claimed: the number of frames to be shown; None where the container does not say.
        duration_s: seconds; None where the container does not say.
        codec: FFmpeg's name of the codec, such as `h264`.
    """

    width: int
    height: int
    fps: float
    frames_claimed: int | None
    duration_s: float | None
    codec: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame.

    Attributes:
        index: number of the frame in the video, from 0, in order of presentation.
        time_s: when it is shown, in seconds from the first frame, by the file's timestamps.
        image: uint8 (height, width, 3), BGR, as displayed, contiguous and writable.
    """

    index: int
    time_s: float
    image: NDArray[np.uint8]


def probe(path: Path) -> VideoInfo:
    """What the container at `path` claims, once its first frame has been decoded.

    Raises:
        VideoError: the file cannot be opened, or no frame of it can be decoded.
    """
    with VideoReader(path) as reader:
        return reader.info


class VideoReader:
    """The frames of a video, or of a segment of it, to be iterated over once, inside a `with`.

    Every frame is decoded; those whose number `stride` skips are not converted to BGR. Frames that
    change size on the way are scaled to the size of the first. Damage does not raise: what decodes
    is given, and afterwards `missing` and `damage` tell the rest.

    The segments of `worker.segments.plan` together give what the whole video gives: each frame
    once, with the same pixels and the same time. `frames_decoded` adds up; `end_s` is that of the
    last segment; the frames `missing` are those claimed less those decoded, and each segment says
    0; `damage` is all their notes. A segment numbers its frames on from `first_frame`: after an
    earlier one in which damage cost frames (`frames_decoded` is less than the segment's `frames`)
    the whole video numbers them lower, and with a stride looks at others. What FFmpeg makes up for
    the lost part of a frame differs between runs, and so between a segment and the whole.

    Attributes:
        info: what the container claims of the whole video.
        frames_decoded: all frames of the segment decoded so far, skipped ones too.

    Raises:
        VideoError: the file cannot be opened, or no frame of it can be decoded.
        OSError: the file could not be read on; trying again may help.
    """

    def __init__(self, path: Path, stride: int = 1, segment: Segment | None = None) -> None:
        if stride < 1:
            raise ValueError(f"stride must be 1 or more, not {stride}")
        self.frames_decoded = 0
        self._stride = stride
        self._segment = segment or Segment.whole()
        self._faulty = 0
        self._undecodable_before = 0  # what belongs to the segment before
        self._ended = False
        self._reformatter = VideoReformatter()
        container, stream = open_video(path)
        self._pictures = Pictures(container, stream)
        try:
            first = self._pictures.next()
            if first is None:
                raise VideoError(_why_no_frame(path, stream, self._pictures))
            self._first: VideoFrame | None = first
            self._coded_size = first.width, first.height
            self._orientation = _orientation(first)
            self._time_base = cast(Fraction, stream.time_base)  # every stream that is read has one
            self.info = _info(container, stream, first)
            self._times = Times(
                self._time_base, self.info.fps, _is_mp4(container), self._segment.start_pts
            )
            if self._segment.first_pts is not None:
                self._begin_at(path, self._segment.first_pts)
        except BaseException:
            self._pictures.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pictures.close()

    def __iter__(self) -> Iterator[Frame]:
        while (picture := self._next()) is not None and not reaches(picture, self._segment.end_pts):
            self._times.place(picture)
            self._faulty += picture.is_corrupt
            index = self._segment.first_frame + self.frames_decoded
            self.frames_decoded += 1
            if index % self._stride == 0:
                yield Frame(index, self._times.time_s, self._to_bgr(picture))
        self._ended = True

    @property
    def end_s(self) -> float:
        """When the last decoded frame ends, in seconds from the first frame of the video.

        After the end of the iteration: the video's true duration.
        """
        return self._times.end_s

    @property
    def missing(self) -> int:
        """After the end: how many frames the container claims beyond those decoded.

        0 for one of several segments: what is claimed is claimed of the whole video.
        """
        if not self._ended or self.info.frames_claimed is None or self._segment.of > 1:
            return 0
        return max(0, self.info.frames_claimed - self.frames_decoded)

    @property
    def damage(self) -> str | None:
        """What disturbed or stopped the decoding so far, in words; None if nothing did."""
        notes = []
        undecodable = self._pictures.undecodable - self._undecodable_before
        if undecodable:
            notes.append(f"packets that could not be decoded: {undecodable}")
        if self._faulty:
            notes.append(f"frames decoded with errors: {self._faulty}")
        if self._segment.end_pts is None:
            notes += self._early_end()
        return "; ".join(notes) or None

    def _early_end(self) -> list[str]:
        """How the video falls short of what its container states."""
        notes = [self._pictures.stopped_by] if self._pictures.stopped_by else []
        claimed_s = self.info.duration_s
        if self.missing:
            notes.append(f"{self.missing} of {self.info.frames_claimed} frames are missing")
        elif self._ended and self.info.frames_claimed is None and claimed_s is not None:
            # Matroska and its like state a duration but no number of frames.
            ends_s = float((self._times.start_pts or 0) * self._time_base) + self.end_s
            if ends_s < claimed_s - _SHORTFALL_S:
                notes.append(f"it ends at {ends_s:.1f} s, its container says {claimed_s:.1f} s")
        return notes

    def _begin_at(self, path: Path, first_pts: int) -> None:
        """Go on with the first picture that is not before `first_pts`."""
        self._pictures.close()
        start = start_at(path, first_pts)
        self._pictures, self._first = start.pictures, start.first
        for picture in start.before:
            self._times.place(picture)
        self._undecodable_before = self._pictures.undecodable

    def _next(self) -> VideoFrame | None:
        first, self._first = self._first, None
        return first if first is not None else self._pictures.next()

    def _to_bgr(self, picture: VideoFrame) -> NDArray[np.uint8]:
        width, height = self._coded_size
        bgr = self._reformatter.reformat(picture, width, height, "bgr24", threads=1)
        return np.ascontiguousarray(_upright(bgr.to_ndarray(), self._orientation), np.uint8)


def _info(container: InputContainer, stream: VideoStream, first: VideoFrame) -> VideoInfo:
    height, width = _upright(np.empty((first.height, first.width)), _orientation(first)).shape
    return VideoInfo(
        width=width,
        height=height,
        fps=float(stream.average_rate or stream.guessed_rate or 0),
        frames_claimed=_frames_claimed(container, stream),
        duration_s=_duration_s(container, stream),
        codec=stream.codec_context.name,
    )


def _frames_claimed(container: InputContainer, stream: VideoStream) -> int | None:
    if stream.frames == 0:
        return None
    if _is_mp4(container):
        # An MP4's edit list may hide frames that its `nb_frames` counts; its index knows them.
        return sum(not entry.is_discard for entry in stream.index_entries)
    return stream.frames


def _is_mp4(container: InputContainer) -> bool:
    return "mov" in container.format.name.split(",")


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None:
        return container.duration / av.time_base
    return None


def _why_no_frame(path: Path, stream: VideoStream, pictures: Pictures) -> str:
    name = printable(str(path))
    if pictures.undecodable or pictures.stopped_by:
        why = pictures.stopped_by or f"{pictures.undecodable} packets are damaged"
        return f"{name}: no frame of it can be decoded: {why}"
    if stream.frames:
        return (
            f"{name} is cut off before the first of its {stream.frames} frames, or keeps them in "
            "another file, which is not read; copy or export it again, as one file"
        )
    return f"{name} holds a video of no frames; record or export it again"


def _orientation(picture: VideoFrame) -> NDArray[np.int32]:
    """The display matrix of the file, int32 (2, 2): row i is where axis i (x, y) points to.

    Its entries are 16.16 fixed-point numbers; only right angles and mirrorings matter here.
    """
    matrix = picture.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return np.eye(2, dtype=np.int32)
    return np.frombuffer(cast(Any, matrix), np.int32).reshape(3, 3)[:2, :2]


def _upright(image: NDArray[Any], orientation: NDArray[np.int32]) -> NDArray[Any]:
    """A view of `image` (height, width, ...) turned and mirrored by a display matrix."""
    (x_to_x, x_to_y), (y_to_x, y_to_y) = orientation.tolist()
    if abs(x_to_y) > abs(x_to_x):
        image, to_x, to_y = image.swapaxes(0, 1), y_to_x, x_to_y
    else:
        to_x, to_y = x_to_x, y_to_y
    image = image[:, ::-1] if to_x < 0 else image
    return image[::-1] if to_y < 0 else image

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
from worker.video_container import open_video
from worker.video_pictures import Pictures

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
    """The frames of a video, to be iterated over once, inside a `with`.

    Every frame is decoded; those that `stride` skips are not converted to BGR. Frames that change
    size on the way are scaled to the size of the first. Damage does not raise: what decodes is
    given, and afterwards `missing` and `damage` tell the rest.

    A frame without a timestamp, or with one that is not after that of the frame before (a
    recorder's clock was reset; AVI with B-frames), is placed where the frame before it ends.

    Attributes:
        info: what the container claims.
        frames_decoded: all frames decoded so far, skipped ones too.
        end_s: when the last decoded frame ends, in seconds from the first frame: after the end
            of the iteration, the video's true duration.

    Raises:
        VideoError: the file cannot be opened, or no frame of it can be decoded.
        OSError: the file could not be read on; trying again may help.
    """

    def __init__(self, path: Path, stride: int = 1) -> None:
        if stride < 1:
            raise ValueError(f"stride must be 1 or more, not {stride}")
        self.frames_decoded = 0
        self.end_s = 0.0
        self._stride = stride
        self._time_s = -1.0  # of the frame before; before all of them for the first
        self._start_pts: int | None = None
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
            # Elsewhere a frame's duration is FFmpeg's guess from the codec's nominal rate, which is
            # wrong where the rate varies: the time since the frame before is a better guess.
            self._states_durations = _is_mp4(container)
            self._time_base = cast(Fraction, stream.time_base)  # every stream that is read has one
            self.info = _info(container, stream, first)
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
        while (picture := self._next()) is not None:
            self._place(picture)
            index = self.frames_decoded
            self.frames_decoded += 1
            if index % self._stride == 0:
                yield Frame(index, self._time_s, self._to_bgr(picture))
        self._ended = True

    @property
    def missing(self) -> int:
        """After the end: how many frames the container claims beyond those decoded."""
        if not self._ended or self.info.frames_claimed is None:
            return 0
        return max(0, self.info.frames_claimed - self.frames_decoded)

    @property
    def damage(self) -> str | None:
        """What disturbed or stopped the decoding so far, in words; None if nothing did."""
        notes = self._pictures.damage
        claimed_s = self.info.duration_s
        if self.missing:
            notes.append(f"{self.missing} of {self.info.frames_claimed} frames are missing")
        elif self._ended and self.info.frames_claimed is None and claimed_s is not None:
            # Matroska and its like state a duration but no number of frames.
            ends_s = float((self._start_pts or 0) * self._time_base) + self.end_s
            if ends_s < claimed_s - _SHORTFALL_S:
                notes.append(f"it ends at {ends_s:.1f} s, its container says {claimed_s:.1f} s")
        return "; ".join(notes) or None

    def _next(self) -> VideoFrame | None:
        first, self._first = self._first, None
        return first if first is not None else self._pictures.next()

    def _place(self, picture: VideoFrame) -> None:
        """Set the time of this frame, and when it ends."""
        time_s = self.end_s
        if picture.pts is not None:
            if self._start_pts is None:
                self._start_pts = picture.pts - round(time_s / self._time_base)
            stated_s = float((picture.pts - self._start_pts) * self._time_base)
            if stated_s > self._time_s:
                time_s = stated_s
        duration_s = float(picture.duration * self._time_base)
        if self.frames_decoded and not (self._states_durations and duration_s):
            duration_s = time_s - self._time_s
        elif not duration_s and self.info.fps:
            duration_s = 1 / self.info.fps
        self._time_s, self.end_s = time_s, time_s + duration_s

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
    if pictures.damage:
        return f"{path}: no frame of it can be decoded: {'; '.join(pictures.damage)}"
    if stream.frames:
        return f"{path} is cut off before the first of its {stream.frames} frames; copy it again"
    return f"{path} holds a video of no frames; record or export it again"


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

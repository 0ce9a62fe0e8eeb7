"""Encode frames as an H.264 MP4 that plays everywhere, at the times they are given."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import VideoFrame
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    VideoReformatter,
)
from numpy.typing import NDArray

# 90 kHz, the clock of MPEG systems: exact for 24, 25, 30, 50 and 60 frames per second.
_TIME_BASE = Fraction(1, 90_000)

_USUAL_FPS = 25.0

# x264's own default quality at a speed that does not hold inference up.
_ENCODER = {"preset": "veryfast", "crf": "23"}
_THREADS = min(4, os.cpu_count() or 1)


class VideoWriter:
    """Writes one MP4 (H.264, yuv420p, index at the front), inside a `with`.

    The file appears at `path` when the `with` ends without an error, and replaces what was there;
    until then it grows beside it under a hidden name, and an error removes it. H.264 in yuv420p
    has even sizes only: an odd width or height is padded by repeating the last column or row, so
    that coordinates stay what they are.

    Raises:
        ValueError: a size or a rate that no video has; no frame was written.
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        """`width` and `height` in pixels; `fps` is the average rate, or 0 where it is unknown.

        The rate guides the encoder and says about how long the last frame lasts; the others last
        until the next.
        """
        if width < 1 or height < 1 or fps < 0:
            raise ValueError(f"cannot write a video of {width}x{height} pixels at {fps} fps")
        fps = fps or _USUAL_FPS
        self._path = path
        self._part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
        self._shape = (height, width, 3)
        self._last_pts = -1
        self._frame_ticks = max(1, round(1 / fps / _TIME_BASE))
        self._reformatter = VideoReformatter()
        self._container = av.open(
            str(self._part.absolute()), "w", format="mp4", options={"movflags": "+faststart"}
        )
        self._stream = self._container.add_stream(
            "libx264",
            rate=Fraction(fps).limit_denominator(1001),
            options=dict(_ENCODER),
            width=width + width % 2,
            height=height + height % 2,
            pix_fmt="yuv420p",
            time_base=_TIME_BASE,
        )
        self._stream.codec_context.flags |= Flags.frame_duration  # or the last frame has none
        self._stream.thread_count = _THREADS
        # HD players take an untagged picture for BT.709, others for BT.601: say which it is.
        self._stream.colorspace = Colorspace.ITU709
        self._stream.color_range = ColorRange.MPEG
        self._stream.color_primaries = ColorPrimaries.BT709
        self._stream.color_trc = ColorTrc.BT709

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            with suppress(av.FFmpegError):  # after an error, what else goes wrong is no news
                self._container.close()
            self._part.unlink(missing_ok=True)

    def write(self, image: NDArray[np.uint8], time_s: float) -> None:
        """Add `image`, uint8 (height, width, 3), BGR, to be shown from `time_s` on, in seconds.

        Raises:
            ValueError: the image has another size, or `time_s` is negative or not later than
                that of the image before.
            OSError: the file cannot be written.
        """
        if image.shape != self._shape:
            raise ValueError(f"the image is {image.shape}, but the video is {self._shape}")
        pts = round(time_s / _TIME_BASE)
        if pts <= self._last_pts:
            raise ValueError(f"{time_s} s is not later than the frame before")
        self._last_pts = pts
        frame = self._to_yuv(image)
        frame.pts, frame.time_base, frame.duration = pts, _TIME_BASE, self._frame_ticks
        self._container.mux(self._stream.encode(frame))

    def _to_yuv(self, image: NDArray[np.uint8]) -> VideoFrame:
        height, width, _ = self._shape
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        bgr = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        return self._reformatter.reformat(
            bgr, format="yuv420p", dst_colorspace=Colorspace.ITU709, threads=1
        )

    def _finish(self) -> None:
        if self._last_pts < 0:
            raise ValueError("a video needs at least one frame")
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._part.replace(self._path)

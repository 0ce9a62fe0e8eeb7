"""Tell when each picture of a video is shown, from timestamps that may be missing or wrong."""

from __future__ import annotations

from fractions import Fraction

from av.video.frame import VideoFrame

# A decoder holds back at most so many pictures to put them in order (H.264, A.3.1: MaxDpbFrames).
_REORDERED = 16


class Times:
    """When the picture placed last is shown, in seconds from the first picture of the video.

    A picture without a timestamp, or with one long before that of the picture before it (a
    recorder's clock was reset), is placed where the picture before it ends. Where damage has mixed
    up the order, a picture that should have come before follows at once, so that those after it
    keep their own times.

    Attributes:
        time_s: when it is shown; below 0 before the first is placed.
        end_s: when it ends.
        start_pts: timestamp of the first picture that has one, less when it is shown.
    """

    def __init__(
        self, time_base: Fraction, fps: float, states_durations: bool, start_pts: int | None
    ) -> None:
        """`states_durations`: the container's own word, where FFmpeg would guess from the codec.

        Such a guess is wrong where the rate varies: the time since the picture before is better.
        """
        self.time_s = -1.0
        self.end_s = 0.0
        self.start_pts = start_pts
        self._time_base = time_base
        self._fps = fps
        self._states_durations = states_durations

    def place(self, picture: VideoFrame) -> None:
        """Set the times to those of the next picture."""
        duration_s = float(picture.duration * self._time_base)
        stated_s = self._stated_s(picture)
        time_s = self.end_s if stated_s is None else stated_s
        if not (self._states_durations and duration_s):
            if stated_s is not None and self.time_s >= 0:
                duration_s = time_s - self.time_s
            elif self._fps and (self.time_s >= 0 or not duration_s):
                duration_s = 1 / self._fps
        self.time_s, self.end_s = time_s, time_s + duration_s

    def _stated_s(self, picture: VideoFrame) -> float | None:
        """By its timestamp, at least a tick after the picture before; None if that is of no use."""
        if picture.pts is None:
            return None
        if self.start_pts is None:
            self.start_pts = picture.pts - round(self.end_s / self._time_base)
        stated_s = float((picture.pts - self.start_pts) * self._time_base)
        if stated_s > self.time_s:
            return stated_s
        is_mixed_up = self._fps > 0 and (self.time_s - stated_s) * self._fps <= _REORDERED
        return self.time_s + float(self._time_base) if is_mixed_up else None

"""The detections of all segments of a video, read as those of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from worker.detection.detections import Detections
from worker.detection.store import Contents, StoredDetections


class JoinedDetections:
    """What `StoredDetections` is for a whole video, from the kept segments of it.

    Frames are numbered on from segment to segment by what was decoded, as they are where nothing is
    cut: where frames are damaged, fewer are decoded than the container's index told.

    Attributes:
        contents: what is in all of them.
    """

    def __init__(self, parts: Sequence[StoredDetections], frames_claimed: int | None) -> None:
        self._parts = parts
        self.contents = _join([part.contents for part in parts], frames_claimed)

    def above(self, conf: float) -> Iterator[Detections]:
        """Every frame that the model looked at, in order, with its detections above `conf`.

        Raises:
            ValueError: `conf` is below what was stored.
        """
        begin = 0
        for part in self._parts:
            for detections in part.above(conf):
                shift = begin - part.contents.first_frame
                yield replace(detections, frame=detections.frame + shift) if shift else detections
            begin += part.contents.video.frames_decoded


def _join(parts: Sequence[Contents], frames_claimed: int | None) -> Contents:
    videos = [part.video for part in parts]
    decoded = sum(video.frames_decoded for video in videos)
    missing = max(0, (frames_claimed or 0) - decoded)
    notes = [
        f"segment {number}: {video.damage}"
        for number, video in enumerate(videos, start=1)
        if video.damage
    ]
    if missing:
        notes.append(f"{missing} of {frames_claimed} frames are missing")
    return Contents(
        video=videos[0].model_copy(
            update={
                "frames_decoded": decoded,
                "frames_claimed": frames_claimed,
                "frames_missing": missing,
                "duration_s": videos[-1].duration_s,
                "damage": "; ".join(notes) or None,
            }
        ),
        class_names=parts[0].class_names,
        first_frame=0,
        frames=sum(part.frames for part in parts),
        detections=sum(part.detections for part in parts),
        limited_frames=sum(part.limited_frames for part in parts),
        parts=sum(part.parts for part in parts),
    )

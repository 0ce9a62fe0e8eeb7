"""Cut a video into segments that can be decoded on their own."""

from __future__ import annotations

from array import array
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from db.specs import Segment
from worker.video_container import open_video, refuse_bad_disk
from worker.video_pictures import Pictures
from worker.video_seeking import LEAD_S, approach, ticks

# Codecs whose key frames FFmpeg knows by what they are, whatever the container says of them: after
# an H.264 IDR or recovery point, an HEVC IRAP and every JPEG nothing that was before is needed.
_CODECS = frozenset({"h264", "hevc", "mjpeg"})

# Where decoding would have to begin longer than this before a cut, seeking does not work.
_LONGEST_LEAD_S = 60


def plan(path: Path, wanted: int) -> list[Segment]:
    """Cut a video at key frames into at most `wanted` segments of about equal numbers of frames.

    The segments together give the frames of the whole video, pixels and times alike. Where that
    cannot be shown, there are fewer. A cut is left out where seeking does not lead to the packets
    that reading leads to, or where the first picture there is not the key frame (a stream that
    is refreshed little by little has none). The whole video is one segment where its codec is not
    one whose key frames are known; where a presentation time is missing, comes twice, jumps back
    or was guessed (AVI with B-frames); and where it cannot be read to its end.

    Every packet is read, but only one picture a cut is decoded. Memory: about 40 bytes a packet.

    Raises:
        VideoError: the file cannot be opened.
        OSError: the file could not be read on; trying again may help.
        ValueError: `wanted` is less than 1.
    """
    if wanted < 1:
        raise ValueError(f"at least one segment must be wanted, not {wanted}")
    timeline = _read_timeline(path) if wanted > 1 else None
    if timeline is None:
        return [Segment.whole()]
    cuts = [pts for pts in timeline.cuts(wanted) if _can_begin_at(path, timeline, pts)]
    if not cuts:
        return [Segment.whole()]
    bounds = [None, *cuts, None]
    numbers = [0, *(timeline.frames_before(pts) for pts in cuts), len(timeline.shown)]
    return [
        Segment(
            number=number,
            of=len(cuts) + 1,
            first_pts=first_pts,
            end_pts=end_pts,
            first_frame=numbers[number],
            frames=numbers[number + 1] - numbers[number],
            start_pts=int(timeline.shown[0]),
        )
        for number, (first_pts, end_pts) in enumerate(pairwise(bounds))
    ]


@dataclass(frozen=True, slots=True)
class _Timeline:
    """When the packets of a video are shown, in units of the stream's time base.

    Attributes:
        decoded: int64 (packets,), in the order of decoding.
        shown: int64 (frames,), in the order of presentation, of those that are shown.
        keys: int64 (key frames,), where in `decoded` the key frames are.
    """

    decoded: NDArray[np.int64]
    shown: NDArray[np.int64]
    keys: NDArray[np.int64]

    @property
    def key_pts(self) -> NDArray[np.int64]:
        """When the key frames are shown."""
        return self.decoded[self.keys]

    def frames_before(self, pts: int) -> int:
        """How many frames are shown before `pts`."""
        return int(np.searchsorted(self.shown, pts))

    def cuts(self, wanted: int) -> list[int]:
        """When the key frames are shown at which to cut, so that all parts are about equal."""
        key_pts = self.key_pts
        key_pts = key_pts[(key_pts > self.shown[0]) & (key_pts <= self.shown[-1])]
        if not len(key_pts):
            return []
        numbers = np.searchsorted(self.shown, key_pts)
        ideal = [len(self.shown) * part / wanted for part in range(1, wanted)]
        return sorted({int(key_pts[np.abs(numbers - number).argmin()]) for number in ideal})

    def packets_between(self, key_pts: int, pts: int) -> NDArray[np.int64]:
        """int64 (packets,): the times of the packets from one key frame to another, both incl."""
        first, last = np.searchsorted(self.key_pts, [key_pts, pts])
        return self.decoded[self.keys[first] : self.keys[last] + 1]


def _read_timeline(path: Path) -> _Timeline | None:
    """None where the video cannot be cut."""
    with closing(Pictures(*open_video(path))) as pictures:
        first = pictures.next()
    if first is None or first.pts is None:
        return None
    container, stream = open_video(path)
    with container:
        if stream.codec_context.name not in _CODECS:
            return None
        try:
            timeline = _timeline(container, stream, first.pts)
        except (av.FFmpegError, IndexError) as error:
            if isinstance(error, av.FFmpegError):
                refuse_bad_disk(error, path)
            return None  # damage, or a stream that begins in the middle (`Pictures`)
        if timeline is None or _has_guessed_times(stream, timeline):
            return None
    return timeline if _is_in_order(timeline, first.pts) else None


def _timeline(container: InputContainer, stream: VideoStream, start_pts: int) -> _Timeline | None:
    """None where a packet has no presentation time."""
    decoded, shown, keys = array("q"), array("q"), array("q")
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        if packet.pts is None:
            return None
        if packet.is_keyframe:
            keys.append(len(decoded))
        decoded.append(packet.pts)
        # What is shown before the first picture cannot be decoded: it needs what was cut away.
        if not packet.is_discard and packet.pts >= start_pts:
            shown.append(packet.pts)
    return _Timeline(np.array(decoded), np.sort(np.array(shown)), np.array(keys))


def _has_guessed_times(stream: VideoStream, timeline: _Timeline) -> bool:
    """AVI has decoding times only, and FFmpeg gives them out for presentation times."""
    reorders = bool((np.diff(timeline.decoded) < 0).any())
    return stream.codec_context.has_b_frames and not reorders


def _is_in_order(timeline: _Timeline, start_pts: int) -> bool:
    """Whether time goes on from each key frame to the next, and comes to no frame twice."""
    decoded, shown, keys, key_pts = (
        timeline.decoded,
        timeline.shown,
        timeline.keys,
        timeline.key_pts,
    )
    if len(keys) < 2 or shown[0] != start_pts or not (np.diff(shown) > 0).all():
        return False
    latest_so_far = np.maximum.accumulate(decoded)
    earliest_yet = np.minimum.accumulate(decoded[::-1])[::-1]
    # What follows the next key frame is after this one; it may be before that next one, where
    # GOPs are open.
    follows = (latest_so_far[keys[1:] - 1] < key_pts[1:]).all()
    return bool(follows and (earliest_yet[keys[1:]] > key_pts[:-1]).all())


def _can_begin_at(path: Path, timeline: _Timeline, pts: int) -> bool:
    """Whether a reader that seeks a cut decodes from there as one that reads all of the video."""
    container, stream = open_video(path)
    longest_lead = ticks(stream, _LONGEST_LEAD_S)
    with container:
        try:
            place = approach(container, stream, pts - ticks(stream, LEAD_S))
            if place is None:
                return bool(pts - timeline.shown[0] <= longest_lead)  # decoded from the start
            if pts - place.key_pts > longest_lead:
                return False
            expected = timeline.packets_between(place.key_pts, pts)
            packets = list(islice(place.packets, len(expected)))
        except av.FFmpegError:
            return False
        if [packet.pts for packet in packets] != expected.tolist():
            return False
        with closing(Pictures(container, stream, chain(packets, place.packets))) as pictures:
            first = pictures.next()
        return first is not None and first.pts == place.key_pts

"""Decode a video from the middle on, so that its pictures are those of decoding all of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from worker.video_container import open_video
from worker.video_pictures import Pictures

# Decoding begins at least so long before the pictures that are wanted, so that what a decoder
# learns on the way (how far a stream reorders its pictures) is learned again by then.
LEAD_S = 1


@dataclass(frozen=True, slots=True)
class Approach:
    """A place in an opened video from which to decode.

    Attributes:
        key_pts: when its key frame is shown, in units of the stream's time base.
        packets: the key frame, and all that follows in the order of decoding.
    """

    key_pts: int
    packets: Iterator[Packet[VideoStream]]


@dataclass(frozen=True, slots=True)
class Start:
    """The place at which decoding reached the pictures that are wanted.

    Attributes:
        before: the last two pictures before the place; fewer at the start of the video.
        first: the first picture that is wanted; None where none came out.
        pictures: those that follow.
    """

    before: tuple[VideoFrame, ...]
    first: VideoFrame | None
    pictures: Pictures


def ticks(stream: VideoStream, seconds: int) -> int:
    """So many seconds in units of the stream's time base."""
    assert stream.time_base is not None  # every stream that is read has one
    return round(seconds / stream.time_base)


def approach(container: InputContainer, stream: VideoStream, latest: int) -> Approach | None:
    """Seek a key frame that is shown at `latest` or before.

    Where the container lands too late (MP4 sorts by decoding time, MPEG-TS lands anywhere), it is
    asked for 1, 2, 4, ... seconds less. What comes before the key frame is left out.

    Returns:
        None where the start of the video is reached before such a key frame is found.

    Raises:
        av.FFmpegError: the container cannot seek, or cannot be read.
    """
    target, back = latest, ticks(stream, 1)
    while target > (stream.start_time or 0):
        container.seek(target, stream=stream, backward=True)
        packets = container.demux(stream)
        key = next((packet for packet in packets if packet.is_keyframe), None)
        if key is not None and key.pts is not None and key.pts <= latest:
            return Approach(key.pts, chain([key], packets))
        target, back = target - back, back * 2
    return None


def start_at(path: Path, pts: int) -> Start:
    """Decode up to the first picture that is shown at `pts` or later.

    Pictures count in the order in which the decoder gives them out, so that two neighbouring
    segments agree on where one ends. A decoder that has met damage may go on otherwise than one
    that has not, until all that was touched is replaced: so decoding begins ever farther back, at
    worst at the start of the video, until nothing is wrong on the way to `pts`.

    Raises:
        VideoError: the file cannot be opened.
        OSError: the file could not be read on; trying again may help.
    """
    lead_s = LEAD_S
    while (start := _start_after(path, pts, lead_s)) is None:
        lead_s *= 2
    return start


def reaches(picture: VideoFrame, pts: int | None) -> bool:
    """Whether the picture is shown at `pts` or later; never if that is None."""
    return pts is not None and picture.pts is not None and picture.pts >= pts


def _start_after(path: Path, pts: int, lead_s: int) -> Start | None:
    """Decode from `lead_s` before `pts` on; None if something is wrong on the way."""
    container, stream = open_video(path)
    try:
        place = approach(container, stream, pts - ticks(stream, lead_s))
    except av.FFmpegError:
        place = None  # if that was the disk, reading from the start will say so
    if place is None:
        container.close()  # seeking has moved it
        pictures = Pictures(*open_video(path))
    else:
        pictures = Pictures(container, stream, place.packets)
    try:
        start, is_well = _run_up(pictures, pts, None if place is None else place.key_pts)
    except BaseException:
        pictures.close()
        raise
    if place is None or is_well:
        return start
    pictures.close()
    return None


def _run_up(pictures: Pictures, pts: int, key_pts: int | None) -> tuple[Start, bool]:
    """Decode up to `pts`; and whether all was well: from the key frame on, in order, undamaged."""
    before: deque[VideoFrame] = deque(maxlen=2)
    last_pts: int | None = None
    is_well = True
    while (picture := pictures.next()) is not None and not reaches(picture, pts):
        if picture.is_corrupt or picture.pts is None:
            is_well = False
        elif last_pts is None:
            is_well &= picture.pts == key_pts
        else:
            is_well &= picture.pts > last_pts
        last_pts = picture.pts
        before.append(picture)
    is_well &= len(before) == before.maxlen and pictures.undecodable == 0
    return Start(tuple(before), picture, pictures), is_well

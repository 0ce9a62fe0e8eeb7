"""Open a video file that came from outside, or say in one line why it cannot be opened."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from db.errors import VideoError
from db.one_line import printable

# FFmpeg opens only these, so that no playlist, concat script or device slips in. Bare streams
# (.h264, .hevc) are left out as well: they carry no timestamps.
CONTAINERS = ("mov", "mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "asf", "dhav")

# The kinds of box an MP4 or MOV file may begin with (ISO/IEC 14496-12, QuickTime File Format).
_MP4_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})

# FFmpeg looks for an index at either end, and reads a few MiB ahead.
_READ_AGAIN_BYTES = 64 * 2**20
_CHUNK_BYTES = 2**20

_PICTURES_BESIDE_SOUND = Disposition.attached_pic | Disposition.timed_thumbnails


def open_video(path: Path) -> tuple[InputContainer, VideoStream]:
    """The container at `path` and the video stream in it, nothing decoded yet.

    The container may read this one file and no other, and nothing over the network. FFmpeg's log
    stays off, as PyAV leaves it: passing the log to Python from decoder threads can deadlock
    (PyAV issue 751).

    Raises:
        VideoError: the file is not there, no regular file, empty, of no known container, damaged
            beyond opening, without video, or of a codec that cannot be decoded.
    """
    _refuse_what_is_no_file(path)
    try:
        container = av.open(
            str(path.absolute()),
            "r",
            container_options={
                "protocol_whitelist": "file",
                "format_whitelist": ",".join(CONTAINERS),
            },
            metadata_errors="replace",
        )
    except av.FFmpegError as error:
        refuse_bad_disk(error, path)
        raise VideoError(_why_unreadable(path)) from error
    try:
        return container, _video_stream(container, path)
    except BaseException:
        container.close()
        raise


def refuse_bad_disk(error: av.FFmpegError, path: Path, near: int = 0) -> None:
    """Return if it was damage in the file that FFmpeg stumbled over, and raise if it was the disk.

    Demuxers answer damage with the numbers of other errors too: Matroska with EIO, ASF with EPERM,
    MPEG-TS with EAGAIN, MP4 with ENOMEM for a table of nonsensical length. So what a failing disk
    may have kept from FFmpeg is read again, here: after `near` (bytes), and the end of the file.

    Raises:
        OSError: the file cannot be read there; trying again may help.
    """
    if not isinstance(error, OSError):
        return
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        for start in (near, max(near, size - _READ_AGAIN_BYTES)):
            file.seek(start)
            for _ in range(0, _READ_AGAIN_BYTES, _CHUNK_BYTES):
                if not file.read(_CHUNK_BYTES):
                    break


def _refuse_what_is_no_file(path: Path) -> None:
    name = printable(str(path))
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise VideoError(f"no such file: {name}; check the name") from None
    if stat.S_ISDIR(status.st_mode):
        raise VideoError(f"{name} is a folder; name a video file in it")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(f"{name} is a pipe or a device; copy the footage to a regular file")
    if status.st_size == 0:
        raise VideoError(f"{name} is empty (0 bytes); copy or export the footage again")


def _why_unreadable(path: Path) -> str:
    name = printable(str(path))
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:] in _MP4_BOXES:
        return (
            f"{name} is an MP4 whose index (the moov atom) is missing or damaged: its recording "
            "or copying was cut short; copy or export it again"
        )
    return (
        f"{name} is no video in a known container ({', '.join(CONTAINERS)}), or is damaged beyond "
        "opening; check what it is, or convert it to MP4"
    )


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    name = printable(str(path))
    pictures = [s for s in container.streams.video if not s.disposition & _PICTURES_BESIDE_SOUND]
    if not pictures:
        holds = "only sound, no video" if container.streams.audio else "no video"
        raise VideoError(f"{name} holds {holds}; name a file with video")
    decodable = [stream for stream in pictures if stream.codec_context is not None]
    if not decodable:
        raise VideoError(
            f"{name} is encoded with a codec that cannot be decoded here; convert it to H.264"
        )
    return decodable[0]

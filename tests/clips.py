"""Small video files for the tests, each frame of which shows its own number."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import VideoFrame
from numpy.typing import NDArray

# Exact for whole frames at 10, 12, 15, 20, 24, 25, 30, 50 and 60 frames per second.
_TICK = Fraction(1, 600)

_COLUMNS, _ROWS = 8, 2


def numbered_picture(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """uint8 (height, width, 3): the 16 bits of `number` as black and white blocks, 8 by 2."""
    bits = (number >> np.arange(_COLUMNS * _ROWS)) & 1
    rows = np.arange(height) * _ROWS // height
    columns = np.arange(width) * _COLUMNS // width
    blocks = bits.reshape(_ROWS, _COLUMNS)[rows[:, None], columns[None, :]]
    return np.repeat((blocks * 255).astype(np.uint8)[:, :, None], 3, axis=2)


def number_in(image: NDArray[np.uint8]) -> int:
    """The number that a decoded `numbered_picture` shows."""
    height, width, _ = image.shape
    number = 0
    for bit in range(_COLUMNS * _ROWS):
        row, column = divmod(bit, _COLUMNS)
        y, x = (2 * row + 1) * height // (2 * _ROWS), (2 * column + 1) * width // (2 * _COLUMNS)
        number |= int(image[y - 1 : y + 2, x - 1 : x + 2].mean() > 127) << bit
    return number


def _grainy(picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """The picture over a pattern that moves, so that it is predicted from others and not exactly.

    The number can still be read.
    """
    height, width, _ = picture.shape
    pattern = np.random.default_rng(0).integers(0, 100, (2 * height, 2 * width, 3))
    y, x = 3 * number % height, 2 * number % width
    grainy = picture * 0.6 + pattern[y : y + height, x : x + width]
    return np.clip(grainy, 0, 255).astype(np.uint8)


def write_clip(
    path: Path,
    rates: Sequence[tuple[int, int]] = ((60, 30),),
    *,
    codec: str = "libx264",
    codec_params: str = "",
    grainy: bool = False,
    width: int = 128,
    height: int = 64,
    pix_fmt: str = "yuv420p",
    b_frames: int = 0,
    key_every: int = 12,
    start_s: int = 0,
    rotation: int = 0,
    mirrored: bool = False,
    index_first: bool = True,
    sound: bool = False,
) -> list[float]:
    """Write a clip of (frames, frames per second) stretches; the container is that of the suffix.

    `codec_params` are x264's or x265's own, as `open-gop=1:scenecut=0`.

    Returns:
        When each frame is shown, in seconds from the first.
    """
    movie = path.suffix in {".mp4", ".mov"}
    options = {"movflags": "+faststart"} if movie and index_first else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(
            codec,
            rate=rates[0][1],
            options=_encoder_options(codec, codec_params),
            width=width,
            height=height,
            pix_fmt=pix_fmt,
            time_base=Fraction(1, rates[0][1]) if path.suffix == ".avi" else _TICK,
        )
        stream.codec_context.max_b_frames = b_frames
        stream.codec_context.gop_size = key_every
        if rotation or mirrored:
            stream.set_display_rotation(rotation, hflip=mirrored)
        if sound:
            _write_sound(container, seconds=1)
        stream.codec_context.flags |= Flags.frame_duration  # or the packets would have none
        starts = []
        for number, (start, length) in enumerate(_schedule(rates)):
            picture = numbered_picture(number, width, height)
            picture = _grainy(picture, number) if grainy else picture
            frame = VideoFrame.from_ndarray(picture, "bgr24")
            frame.pts, frame.time_base = start + round(start_s / _TICK), _TICK
            frame.duration = length
            starts.append(float(start * _TICK))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return starts


def _encoder_options(codec: str, params: str) -> dict[str, str]:
    if codec == "libx264":
        return {"preset": "veryfast"} | ({"x264-params": params} if params else {})
    if codec == "libx265":  # which would print what it does
        return {"preset": "veryfast", "x265-params": f"log-level=none:{params}".rstrip(":")}
    return {}


def _schedule(rates: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Start and length of each frame, in ticks."""
    start = 0
    for frames, fps in rates:
        length = int(1 / (fps * _TICK))
        for _ in range(frames):
            yield start, length
            start += length


def write_sound(path: Path) -> None:
    """A second of silence, and no video."""
    with av.open(str(path), "w") as container:
        _write_sound(container, seconds=1)


def _write_sound(container: av.container.OutputContainer, seconds: int) -> None:
    stream = container.add_stream("aac", rate=48_000)
    silence = np.zeros((2, 1024), np.float32)
    for block in range(seconds * 48_000 // 1024):
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48_000, block * 1024
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_no_frames(path: Path) -> None:
    """An MP4 with a video track in which there is no frame."""
    with av.open(str(path), "w", options={"movflags": "+empty_moov"}) as container:
        container.add_stream("libx264", rate=30, width=128, height=64)
        container.start_encoding()


def cut_off(path: Path, share: float) -> None:
    """Keep the first `share` (0 to 1) of the bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def cut_off_index(path: Path) -> None:
    """Drop the moov atom of an MP4 that has it at the end, as a recorder without power does."""
    data = path.read_bytes()
    assert data.find(b"moov") > data.find(b"mdat")
    path.write_bytes(data[: data.rfind(b"moov") - 4])


def spoil_packet(path: Path, number: int, keep: int = 0) -> None:
    """Overwrite one packet, counted from 0 in the order of decoding, with zeros.

    Its first `keep` bytes stay: 5 of H.264 in MP4 say that it is a key frame.
    """
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
        position, size = packet.pos, packet.size
    assert position is not None
    data = bytearray(path.read_bytes())
    data[position + keep : position + size] = bytes(size - keep)
    path.write_bytes(data)


def hide_first_second(path: Path) -> None:
    """Make the edit list of an MP4 begin a second later, as trimming on a phone does.

    ISO/IEC 14496-12, 8.6.6: version, flags, number of entries, then duration and start of each.
    """
    with av.open(str(path)) as container:
        time_base = container.streams.video[0].time_base
    assert time_base is not None
    data = bytearray(path.read_bytes())
    entry = data.index(b"elst") + 12
    duration, start = struct.unpack_from(">Ii", data, entry)
    struct.pack_into(">Ii", data, entry, duration - 1000, start + int(1 / time_base))
    path.write_bytes(data)


def replace_in_boxes(data: bytes, kinds: Sequence[bytes], old: bytes, new: bytes) -> bytes:
    """Replace the first `old` within nested MP4 boxes, and let their sizes grow (or shrink).

    `kinds` are the boxes from the outermost to the one that `old` lies in.
    """
    edited, place = bytearray(data), 0
    for kind in kinds:
        place = data.index(kind, place)
        (size,) = struct.unpack_from(">I", data, place - 4)
        struct.pack_into(">I", edited, place - 4, size + len(new) - len(old))
    place = data.index(old, place)
    edited[place : place + len(old)] = new
    return bytes(edited)

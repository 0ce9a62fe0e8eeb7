from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from db.errors import VideoError
from tests.clips import cut_off_index, write_clip, write_no_frames, write_sound
from worker.video import probe


def _nothing(path: Path) -> None:
    pass


def _text(path: Path) -> None:
    path.write_text("the footage of 3 March is on the other disk\n" * 20)


def _playlist(path: Path) -> None:
    write_clip(path.with_name("other.ts"))
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nother.ts\n#EXT-X-ENDLIST\n")


def _concat_script(path: Path) -> None:
    write_clip(path.with_name("other.mp4"))
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")


def _without_index(path: Path) -> None:
    write_clip(path, index_first=False)
    cut_off_index(path)


def _cut_before_the_first_frame(path: Path) -> None:
    write_clip(path)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4])


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("clip.mp4", _nothing, "no such file"),
        ("clip.mp4", Path.mkdir, "is a folder"),
        ("clip.mp4", os.mkfifo, "is a pipe or a device"),
        ("clip.mp4", Path.touch, "is empty"),
        ("clip.mp4", _text, "is no video in a known container"),
        ("clip.mp4", _playlist, "is no video in a known container"),
        ("clip.m3u8", _playlist, "is no video in a known container"),
        ("clip.mp4", _concat_script, "is no video in a known container"),
        ("clip.mp4", _without_index, "whose index (the moov atom) is missing"),
        ("clip.mp4", write_sound, "holds only sound"),
        ("clip.mp4", write_no_frames, "holds a video of no frames"),
        ("clip.mp4", _cut_before_the_first_frame, "is cut off before the first of its 60 frames"),
    ],
)
def test_what_is_no_video_is_refused_in_one_clear_line(
    tmp_path: Path, name: str, make: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / name
    make(path)

    with pytest.raises(VideoError) as refusal:
        probe(path)

    assert says in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)

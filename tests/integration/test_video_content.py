from __future__ import annotations

import os
from pathlib import Path

import pytest

from db.files import sha256_of
from worker.video_content import content_of


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "aisle.mp4"
    path.write_bytes(b"frames" * 1000)
    return path


def reads(path: Path) -> tuple[str, int]:
    """The content of a file, and how often it was read to know it."""
    told: list[int] = []
    return content_of(path, told.append), len(told)


def test_a_video_is_read_once(video: Path) -> None:
    assert reads(video) == (sha256_of(video), 1)
    assert reads(video) == (sha256_of(video), 0)


def test_a_video_that_was_replaced_is_read_again(video: Path, tmp_path: Path) -> None:
    reads(video)
    other = tmp_path / "other.mp4"
    other.write_bytes(b"FRAMES" * 1000)
    other.replace(video)
    assert reads(video) == (sha256_of(video), 1)


def test_a_video_that_was_overwritten_is_read_again_whatever_its_times_say(video: Path) -> None:
    reads(video)
    before = video.stat()
    with video.open("r+b") as file:
        file.write(b"FRAMES")
    os.utime(video, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert reads(video) == (sha256_of(video), 1)


def test_a_video_that_changes_while_it_is_read_is_not_remembered(video: Path) -> None:
    def overwrite(_: int) -> None:
        video.write_bytes(b"another")

    content_of(video, overwrite)
    assert reads(video) == (sha256_of(video), 1)


def test_as_many_videos_as_wanted_may_be_under_way(tmp_path: Path) -> None:
    for number in range(100):
        path = tmp_path / f"{number}.mp4"
        path.write_text(str(number))
        assert reads(path) == (sha256_of(path), 1)

"""Videos such as no camera makes, and files that change under the reader."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from db.files import sha256_of
from db.results import TrackResult
from db.specs import TrackSpec
from tests.clips import number_in, write_clip
from tests.deployment import WEIGHTS
from worker.context import Context
from worker.jobs import track
from worker.segments import plan
from worker.video import VideoReader


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"),
    [
        (".mp4", "libx264", "yuv420p10le"),
        (".mp4", "libx264", "yuv444p"),
        (".mp4", "libx264", "yuv422p10le"),
        (".mp4", "libx265", "yuv420p10le"),
        (".mp4", "libx265", "yuv444p12le"),
        (".mkv", "libx265", "gray12le"),
        (".webm", "libvpx-vp9", "yuv444p"),
        (".mkv", "ffv1", "yuv420p16le"),
        (".mov", "prores_ks", "yuva444p10le"),
        (".mkv", "libx264", "gray"),
    ],
)
def test_every_depth_and_sampling_of_colour_is_decoded_to_the_same_pictures(
    tmp_path: Path, suffix: str, codec: str, pix_fmt: str
) -> None:
    clip = tmp_path / f"clip{suffix}"
    write_clip(clip, [(12, 30)], codec=codec, pix_fmt=pix_fmt)

    with VideoReader(clip) as reader:
        frames = list(reader)

    assert [number_in(frame.image) for frame in frames] == list(range(12))
    assert {frame.image.dtype for frame in frames} == {np.dtype(np.uint8)}
    darkest, brightest = (
        edge(np.stack([frame.image for frame in frames])) for edge in (np.min, np.max)
    )
    assert (darkest < 20, brightest > 235) == (True, True), "the whole range of it"
    assert reader.damage is None


@pytest.mark.parametrize(
    ("width", "height"),
    [
        (1, 1),
        (1, 4000),
        (4000, 1),
        (2, 2),
        (131, 67),
        pytest.param(7680, 4320, marks=pytest.mark.slow),
    ],
)
def test_a_video_of_any_size_is_tracked_and_drawn(
    tmp_path: Path, home: Path, width: int, height: int
) -> None:
    clip = tmp_path / "clip.mov"
    write_clip(clip, [(3, 30)], codec="png", pix_fmt="rgb24", width=width, height=height)
    spec = TrackSpec(
        video=str(clip),
        video_sha256=sha256_of(clip),
        model="products",
        model_sha256=sha256_of(WEIGHTS),
        imgsz=64,
        annotate=True,
    )

    found = track.run(spec, Context(home, tmp_path))

    assert isinstance(found, TrackResult)
    assert (found.video.width, found.video.height) == (width, height)
    assert (found.frames_processed, found.video.damage) == (3, None)


def _replace(clip: Path, other: bytes) -> None:
    clip.with_suffix(".new").write_bytes(other)
    clip.with_suffix(".new").rename(clip)


def _overwrite(clip: Path, other: bytes) -> None:
    with clip.open("r+b") as file:
        file.write(other)
        file.truncate()


def _zero(clip: Path, other: bytes) -> None:
    clip.write_bytes(bytes(clip.stat().st_size))


def _empty(clip: Path, other: bytes) -> None:
    os.truncate(clip, 0)


@pytest.mark.parametrize("change", [_replace, _overwrite, _zero, _empty, Path.unlink])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
def test_a_file_that_changes_while_it_is_read_ends_the_reading_in_good_order(
    tmp_path: Path, suffix: str, change: Callable[..., None]
) -> None:
    clip, other = tmp_path / f"clip{suffix}", tmp_path / f"other{suffix}"
    write_clip(clip, [(240, 30)], grainy=True)
    write_clip(other, [(30, 30)], width=64)
    plan(clip, 2)

    with VideoReader(clip) as reader:
        frames = iter(reader)
        numbers = [number_in(next(frames).image)]
        change(clip, *(() if change is Path.unlink else (other.read_bytes(),)))
        numbers += [number_in(frame.image) for frame in frames]

    assert numbers[0] == 0
    if change in (_replace, Path.unlink):
        assert numbers == list(range(240)), "what was opened is read to its end"
    else:
        assert len(numbers) < 240
        assert reader.damage, "what is lost is told of"

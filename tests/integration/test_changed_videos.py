"""A video that changes while a job looks at it: nothing is kept of what was seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from db.errors import VideoError
from db.files import sha256_of
from db.results import TrackResult
from db.specs import TrackSpec
from tests.clips import write_clip
from tests.deployment import WEIGHTS
from worker.context import Context
from worker.jobs import track


class Disturbed(Context):
    """The surroundings of a job in which something is done once, at a moment of the job's own."""

    def __init__(self, home: Path, folder: Path, when: str, disturb: Callable[[], None]) -> None:
        super().__init__(home, folder)
        self._when = when
        self._disturb = [disturb]

    def advance(self, done: float, total: float | None, unit: str, note: str | None = None) -> None:
        if note == self._when and self._disturb:
            self._disturb.pop()()
        super().advance(done, total, unit, note)


def _replace(clip: Path) -> None:
    write_clip(clip.with_name("other.mp4"), [(60, 30)], key_every=30)
    clip.with_name("other.mp4").rename(clip)


def _append(clip: Path) -> None:
    with clip.open("ab") as file:
        file.write(b"more")


def _cut_off(clip: Path) -> None:
    os.truncate(clip, clip.stat().st_size // 2)


@pytest.mark.parametrize("when", ["loading the model", "detecting"])
@pytest.mark.parametrize("change", [_replace, _append, _cut_off])
def test_what_was_seen_of_a_video_that_changed_meanwhile_is_not_kept(
    tmp_path: Path, home: Path, change: Callable[[Path], None], when: str
) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, [(60, 30)], grainy=True)
    original = clip.read_bytes()
    spec = TrackSpec(
        video=str(clip),
        video_sha256=sha256_of(clip),
        model="products",
        model_sha256=sha256_of(WEIGHTS),
        imgsz=64,
    )
    context = Disturbed(home, tmp_path, when, lambda: change(clip))
    with pytest.raises(VideoError, match="has changed since it was enqueued"):
        track.run(spec, context)

    clip.write_bytes(original)
    found = track.run(spec, Context(home, tmp_path))
    assert isinstance(found, TrackResult)
    assert found.frames_inferred == 60, "nothing of the other file was kept for it"
    for kept in (home / "detections").rglob("*"):
        kept.unlink() if kept.is_file() else None


def test_a_video_that_was_only_touched_is_tracked(tmp_path: Path, home: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, [(40, 30)])
    spec = TrackSpec(
        video=str(clip),
        video_sha256=sha256_of(clip),
        model="products",
        model_sha256=sha256_of(WEIGHTS),
        imgsz=64,
    )
    context = Disturbed(home, tmp_path, "detecting", lambda: os.utime(clip))
    found = track.run(spec, context)
    assert isinstance(found, TrackResult)
    assert found.frames_inferred == 40

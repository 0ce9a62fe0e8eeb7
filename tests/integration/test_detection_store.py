from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest

from db.results import VideoFacts
from worker.detection.detections import Detections
from worker.detection.key import DetectionKey
from worker.detection.store import DetectionStore

REPOSITORY = Path(__file__).parents[2]
KEY = DetectionKey("a" * 64, "b" * 64, 640, 0.1, 0.7, 1000, "ultralytics-8-cpu-fp32", 1)
NAMES = ("apple", "banana")
VIDEO = VideoFacts(
    width=640,
    height=360,
    fps=29.97,
    frames_decoded=300,
    frames_claimed=310,
    frames_missing=10,
    duration_s=10.01,
    codec="h264",
    damage="10 of 310 frames are missing",
)


@pytest.fixture
def store(tmp_path: Path) -> DetectionStore:
    return DetectionStore(tmp_path)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "attempt-1"
    folder.mkdir()
    return folder


def frames(count: int, boxes: int, seed: int = 0) -> Iterator[Detections]:
    """Every fifth frame is empty."""
    random = np.random.default_rng(seed)
    for frame in range(count):
        n = 0 if frame % 5 == 0 else boxes
        yield Detections(
            frame,
            frame / 29.97,
            random.uniform(0, 640, (n, 4)).astype(np.float32),
            random.uniform(0.1001, 1, n).astype(np.float32),
            random.integers(0, 80, n, np.int32),
        )


def assert_same(found: Iterator[Detections], expected: Iterator[Detections]) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine.frame, mine.time_s) == (theirs.frame, theirs.time_s)
        np.testing.assert_array_equal(mine.xyxy, theirs.xyxy)
        np.testing.assert_array_equal(mine.confidence, theirs.confidence)
        np.testing.assert_array_equal(mine.class_id, theirs.class_id)


def test_what_was_stored_is_found_with_every_frame_in_order(store, scratch):
    with store.write(KEY, scratch) as writer:
        for detections in frames(1000, 130):  # more rows than one part takes
            writer.add(detections)
        writer.commit(VIDEO, NAMES)
    found = store.find(KEY)
    assert found is not None
    assert found.contents.parts > 1
    assert_same(found.above(0.1), frames(1000, 130))


def test_no_frame_is_spread_over_two_parts(store, scratch, tmp_path):
    with store.write(KEY, scratch) as writer:
        for detections in frames(1000, 130):
            writer.add(detections)
        writer.commit(VIDEO, NAMES)
    parts = [set(pl.read_parquet(path)["frame"]) for path in tmp_path.rglob("*.parquet")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 1000


def test_what_is_known_of_the_video_is_kept_with_its_detections(store, scratch):
    with store.write(KEY, scratch) as writer:
        for detections in frames(10, 3):
            writer.add(detections, limited=detections.frame in (1, 7))
        writer.commit(VIDEO, NAMES)
    contents = store.find(KEY).contents
    assert contents.video == VIDEO
    assert contents.class_names == NAMES
    assert (contents.frames, contents.detections, contents.limited_frames) == (10, 24, 2)


def test_a_higher_confidence_needs_no_new_detections(store, scratch):
    with store.write(KEY, scratch) as writer:
        for detections in frames(50, 20):
            writer.add(detections)
        stored = writer.commit(VIDEO, NAMES)
    expected = (f.where(f.confidence > np.float32(0.6)) for f in frames(50, 20))
    assert_same(stored.above(0.6), expected)


def test_a_confidence_below_the_stored_floor_is_an_error(store, scratch):
    with store.write(KEY, scratch) as writer:
        stored = writer.commit(VIDEO, NAMES)
    with pytest.raises(ValueError, match=r"stored above 0\.1, not above 0\.05"):
        next(stored.above(0.05))


def test_a_video_in_which_no_frame_was_looked_at_can_be_stored(store, scratch):
    with store.write(KEY, scratch) as writer:
        writer.commit(VIDEO, NAMES)
    assert list(store.find(KEY).above(0.1)) == []


def test_what_was_stored_under_another_key_is_not_found(store, scratch):
    with store.write(KEY, scratch) as writer:
        writer.commit(VIDEO, NAMES)
    assert store.find(replace(KEY, iou=0.5)) is None


def test_a_write_without_a_commit_leaves_nothing(store, scratch, tmp_path):
    with store.write(KEY, scratch) as writer:
        for detections in frames(1000, 130):
            writer.add(detections)
    assert store.find(KEY) is None
    assert [path for path in tmp_path.rglob("*") if path != scratch] == []


def test_a_killed_writer_leaves_nothing_that_is_found(store, scratch, tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from tests.integration.test_detection_store import KEY, DetectionStore, frames
writer = DetectionStore(Path({str(tmp_path)!r})).write(KEY, Path({str(scratch)!r}))
for detections in frames(1000, 130):
    writer.add(detections)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(scratch.rglob("*.parquet"))  # it was in the middle of it
    assert store.find(KEY) is None
    with store.write(KEY, scratch) as writer:
        for detections in frames(20, 3):
            writer.add(detections)
        writer.commit(VIDEO, NAMES)
    assert_same(store.find(KEY).above(0.1), frames(20, 3))


def test_of_two_writers_of_the_same_set_both_are_content(store, scratch):
    with store.write(KEY, scratch) as one, store.write(KEY, scratch) as other:
        for detections in frames(20, 3):
            one.add(detections)
            other.add(detections)
        first = one.commit(VIDEO, NAMES)
        second = other.commit(VIDEO, NAMES)
    assert second.contents == first.contents
    assert_same(first.above(0.1), frames(20, 3))
    assert_same(second.above(0.1), frames(20, 3))
    assert os.listdir(scratch) == []


def test_what_somebodys_deleting_has_left_of_a_set_is_replaced(store, scratch, tmp_path):
    for count in (10, 20):
        with store.write(KEY, scratch) as writer:
            for detections in frames(count, 3):
                writer.add(detections)
            writer.commit(VIDEO, NAMES)
        assert_same(store.find(KEY).above(0.1), frames(count, 3))
        [described] = tmp_path.rglob("stored.json")
        described.unlink()
        assert store.find(KEY) is None


def test_a_set_is_not_found_before_it_is_whole(store, scratch):
    with store.write(KEY, scratch) as writer:
        for detections in frames(1000, 130):
            writer.add(detections)
            if detections.frame % 100 == 0:
                assert store.find(KEY) is None
        writer.commit(VIDEO, NAMES)
    assert store.find(KEY) is not None


def test_memory_does_not_grow_with_the_length_of_the_video(store, scratch):
    process = psutil.Process()
    with store.write(KEY, scratch) as writer:
        for detections in frames(30_000, 100):
            writer.add(detections)
            if detections.frame == 5000:
                after_a_while = process.memory_info().rss
        stored = writer.commit(VIDEO, NAMES)
    assert process.memory_info().rss - after_a_while < 40 * 2**20  # its rows are over 70 MiB
    assert sum(len(detections) for detections in stored.above(0.1)) == 24_000 * 100
    assert process.memory_info().rss - after_a_while < 40 * 2**20

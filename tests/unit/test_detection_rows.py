from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from worker.detection.detections import Detections
from worker.detection.key import DetectionKey, floor_for
from worker.detection.rows import from_rows, to_rows

KEY = DetectionKey("a" * 64, "b" * 64, 640, 0.1, 0.7, 1000, "ultralytics-8-cpu-fp32", 1)


def detections(frame: int, *confidence: float) -> Detections:
    n = len(confidence)
    return Detections(
        frame,
        frame / 30,
        np.arange(4 * n, dtype=np.float32).reshape(n, 4) + np.float32(0.1),
        np.array(confidence, np.float32),
        np.arange(n, dtype=np.int32),
    )


def test_frames_come_back_as_they_were_seen_or_not_seen():
    frames = [detections(0), detections(3, 0.9, 0.2), detections(6), detections(9, 0.5)]
    again = list(from_rows(to_rows(frames), np.float32(0.1)))
    assert [(f.frame, f.time_s) for f in again] == [(f.frame, f.time_s) for f in frames]
    for before, after in zip(frames, again, strict=True):
        for column in ("xyxy", "confidence", "class_id"):
            mine, theirs = getattr(before, column), getattr(after, column)
            assert theirs.dtype == mine.dtype
            np.testing.assert_array_equal(theirs, mine)


def test_nothing_but_empty_frames_can_be_kept():
    again = list(from_rows(to_rows([detections(0), detections(1)]), np.float32(0)))
    assert [(f.frame, len(f), f.xyxy.shape) for f in again] == [(0, 0, (0, 4)), (1, 0, (0, 4))]


def test_a_frame_without_detections_is_a_row_of_nulls():
    (row,) = to_rows([detections(7)]).rows(named=True)
    assert row == {"frame": 7, "time_s": 7 / 30} | dict.fromkeys(
        ("x1", "y1", "x2", "y2", "confidence", "class_id")
    )


def test_a_detection_of_exactly_the_wanted_confidence_is_not_above_it():
    (again,) = from_rows(to_rows([detections(0, 0.3, 0.25)]), np.float32(0.25))
    assert again.confidence.tolist() == [np.float32(0.3)]


def test_a_frame_stays_when_all_its_detections_are_filtered_out():
    (again,) = from_rows(to_rows([detections(4, 0.2)]), np.float32(0.5))
    assert (again.frame, len(again)) == (4, 0)


@pytest.mark.parametrize(("conf", "floor"), [(0.25, 0.1), (0.1, 0.1), (0.05, 0.05), (0, 0)])
def test_detections_are_made_down_to_a_tenth_or_to_what_was_asked_for(conf, floor):
    assert floor_for(conf) == floor


@pytest.mark.parametrize(
    "change",
    [
        {"video_sha256": "c" * 64},
        {"model_sha256": "c" * 64},
        {"imgsz": 416},
        {"conf_floor": 0.05},
        {"iou": 0.5},
        {"max_det": 300},
        {"backend": "ultralytics-8-cuda-fp16"},
        {"stride": 2},
    ],
)
def test_whatever_detections_depend_on_changes_their_digest(change):
    assert replace(KEY, **change).digest != KEY.digest


def test_equal_keys_have_equal_digests():
    assert replace(KEY).digest == KEY.digest
    assert len(KEY.digest) == 64

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
from av.video.frame import VideoFrame

from worker.video_times import Times

_MILLISECOND = Fraction(1, 1000)


def shown_s(
    pts: Sequence[int | None], fps: float = 25, start_pts: int | None = None
) -> list[float]:
    times = Times(_MILLISECOND, fps, states_durations=False, start_pts=start_pts)
    shown = []
    for one in pts:
        picture = VideoFrame(16, 16)
        picture.pts = one
        times.place(picture)
        shown.append(times.time_s)
    return shown


def test_times_count_from_the_first_picture() -> None:
    assert shown_s([5000, 5040, 5100]) == pytest.approx([0, 0.04, 0.1])


def test_times_of_a_segment_count_from_the_first_picture_of_the_video() -> None:
    assert shown_s([5000, 5040], start_pts=1000) == pytest.approx([4, 4.04])


def test_a_picture_without_a_timestamp_comes_where_the_one_before_ends() -> None:
    assert shown_s([0, 40, None, 120]) == pytest.approx([0, 0.04, 0.08, 0.12])


def test_pictures_without_any_timestamp_come_at_the_frame_rate() -> None:
    assert shown_s([None, None, None]) == pytest.approx([0, 0.04, 0.08])


def test_pictures_that_damage_mixed_up_do_not_move_those_after_them() -> None:
    # What is left of two GOPs around a lost key frame.
    times_s = shown_s([400, 900, 440, 940, 480, 980, 1020, 1060])

    assert times_s[-2:] == pytest.approx([0.62, 0.66])
    assert all(earlier < later for earlier, later in pairwise(times_s))


def test_a_gap_before_timestamps_that_jump_back_does_not_stretch_all_that_follows() -> None:
    times_s = shown_s([10_000, 12_000, 40, 80, 120])

    assert times_s == pytest.approx([0, 2, 4, 4.04, 4.08])


def test_a_clock_that_is_reset_goes_on_from_where_it_was() -> None:
    assert shown_s([90_000, 90_040, 0, 40, 80]) == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])

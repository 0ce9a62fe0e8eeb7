"""Counts per class equal what going through the frames one by one would count."""

from __future__ import annotations

import numpy as np
import pytest

from worker.track_statistics import ClassCount, Track, count_classes


def track(number: int, first: int, last: int, class_id: int = 0, detections: int = 1) -> Track:
    return Track(
        number=number,
        class_id=class_id,
        votes={class_id: 0.5},
        first_frame=first,
        last_frame=last,
        first_s=first / 25,
        last_s=last / 25,
        detections=detections,
        mean_confidence=0.5,
    )


def counted_frame_by_frame(
    tracks: list[Track], frames_decoded: int, stride: int
) -> dict[int, ClassCount]:
    counts = {}
    for class_id in sorted({track.class_id for track in tracks}):
        own = [track for track in tracks if track.class_id == class_id]
        visible = [
            sum(track.first_frame <= frame <= track.last_frame for track in own)
            for frame in range(0, frames_decoded, stride)
        ]
        counts[class_id] = ClassCount(
            class_id=class_id,
            tracks=len(own),
            peak_simultaneous=max(visible),
            mean_visible=sum(visible) / len(visible),
            detections=sum(track.detections for track in own),
        )
    return counts


@pytest.mark.parametrize("stride", [1, 2, 3, 7, 30])
@pytest.mark.parametrize("seed", range(20))
def test_counts_equal_a_count_frame_by_frame(seed: int, stride: int) -> None:
    rng = np.random.default_rng(seed)
    frames_decoded = int(rng.integers(1, 200))
    processed = -(-frames_decoded // stride)
    tracks = []
    for number in range(1, int(rng.integers(2, 40))):
        first, last = sorted(rng.integers(0, processed, 2) * stride)
        tracks.append(
            track(number, int(first), int(last), int(rng.integers(4)), int(rng.integers(1, 9)))
        )

    counts = count_classes(tracks, frames_decoded, stride)

    expected = counted_frame_by_frame(tracks, frames_decoded, stride)
    assert list(counts) == list(expected)
    for class_id, count in counts.items():
        assert count.mean_visible == pytest.approx(expected[class_id].mean_visible)
        assert (count.tracks, count.peak_simultaneous, count.detections) == (
            expected[class_id].tracks,
            expected[class_id].peak_simultaneous,
            expected[class_id].detections,
        )


@pytest.mark.parametrize("stride", [2, 5])
def test_tracks_that_lie_between_processed_frames_are_counted_by_the_processed_ones(
    stride: int,
) -> None:
    tracks = [track(1, 1, 9), track(2, 3, 3), track(3, 0, 4)]

    assert count_classes(tracks, 12, stride) == counted_frame_by_frame(tracks, 12, stride)


def test_an_identity_switch_adds_a_track_but_no_peak() -> None:
    unbroken = count_classes([track(1, 0, 99)], 100)[0]
    switched = count_classes([track(1, 0, 49), track(2, 50, 99)], 100)[0]

    assert (unbroken.tracks, switched.tracks) == (1, 2)
    assert unbroken.peak_simultaneous == switched.peak_simultaneous == 1
    assert unbroken.mean_visible == switched.mean_visible == 1.0


def test_tracks_that_share_their_end_frame_are_simultaneous() -> None:
    assert count_classes([track(1, 0, 5), track(2, 5, 9)], 10)[0].peak_simultaneous == 2


def test_no_tracks_have_no_counts() -> None:
    assert count_classes([], 100) == {}
    assert count_classes([], 0) == {}


def test_a_track_beyond_the_last_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="track 1 ends at frame 10, but only 10 frames"):
        count_classes([track(1, 0, 10)], 10)

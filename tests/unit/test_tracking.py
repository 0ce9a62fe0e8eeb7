"""Each rule of tracking: what plain Norfair does, and what ours does instead."""

from __future__ import annotations

import gc
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import norfair
import numpy as np
import pytest
from norfair.distances import ScalarDistance

from db.errors import UsageError
from db.specs import TrackerOptions
from worker.detection.detections import Detections
from worker.track_statistics import Observation, Track
from worker.tracking import HELD_FRAMES, NorfairTracker

APPLE, BALL = 0, 1
FPS = 25.0
Xyxy = tuple[float, float, float, float]
Box = tuple[Xyxy, float, int]


def frame_of(frame: int, *boxes: Box) -> Detections:
    return Detections(
        frame=frame,
        time_s=frame / FPS,
        xyxy=np.array([xyxy for xyxy, _, _ in boxes], np.float32).reshape(-1, 4),
        confidence=np.array([confidence for _, confidence, _ in boxes], np.float32),
        class_id=np.array([class_id for _, _, class_id in boxes], np.int32),
    )


def at(x: float, y: float = 100.0, confidence: float = 0.5, class_id: int = APPLE) -> Box:
    """A box of 40 by 60 pixels whose upper left corner is at (x, y)."""
    return (x, y, x + 40, y + 60), confidence, class_id


def follow(
    frames: Iterable[Detections], options: TrackerOptions | None = None, stride: int = 1
) -> tuple[list[Observation], list[Track]]:
    tracker = NorfairTracker(options or TrackerOptions(), stride)
    observations = [seen for frame in frames for seen in tracker.update(frame)]
    rest, tracks = tracker.finish()
    return observations + rest, tracks


class PlainNorfair:
    """What a notebook does: labels given, the active objects of each frame written down."""

    def __init__(
        self,
        options: TrackerOptions | None = None,
        distance: str | Callable[[norfair.Detection, object], float] | None = None,
        labels: bool = True,
    ) -> None:
        options = options or TrackerOptions()
        self.tracker = norfair.Tracker(
            distance_function=distance or options.distance_function,
            distance_threshold=options.distance_threshold,
            hit_counter_max=options.hit_counter_max,
            initialization_delay=options.initialization_delay,
        )
        self.labels = labels
        self.frames: dict[int, list[int]] = defaultdict(list)
        self.classes: dict[int, int] = {}

    def update(self, detections: Detections, period: int = 1) -> None:
        boxes = [
            norfair.Detection(
                points=xyxy.reshape(2, 2).astype(float),
                scores=np.array([confidence, confidence]),
                label=int(class_id) if self.labels else None,
                data=int(class_id),
            )
            for xyxy, confidence, class_id in zip(
                detections.xyxy, detections.confidence, detections.class_id, strict=True
            )
        ]
        for one in self.tracker.update(boxes, period=period):
            self.frames[one.global_id].append(detections.frame)
            self.classes[one.global_id] = one.last_detection.data

    def follow(self, frames: Iterable[Detections]) -> dict[int, list[int]]:
        for frame in frames:
            self.update(frame)
        return self.frames


# Class by vote


def test_a_class_that_flips_every_fourth_frame_does_not_break_the_track() -> None:
    frames = [
        frame_of(n, at(100, confidence=0.5, class_id=BALL if n % 4 == 0 else APPLE))
        for n in range(120)
    ]
    options = TrackerOptions(hit_counter_max=2, initialization_delay=0)

    assert len(PlainNorfair(options).follow(frames)) == 31

    _, [track] = follow(frames, options)
    assert track.class_id == APPLE
    assert track.votes == {APPLE: 45.0, BALL: 15.0}
    assert track.detections == 120
    assert track.mean_confidence == 0.5


def test_a_class_that_flips_now_and_then_costs_no_detections() -> None:
    frames = [frame_of(n, at(100, class_id=BALL if n % 4 == 0 else APPLE)) for n in range(40)]

    plain = PlainNorfair()
    plain.follow(frames)
    [one] = plain.tracker.get_active_objects()
    assert one.age == 38  # followed since frame 1, by three detections of four
    assert one.label == APPLE

    _, [track] = follow(frames)
    assert track.detections == 40


def test_votes_are_weighted_by_confidence() -> None:
    unsure = [frame_of(n, at(100, confidence=0.25, class_id=BALL)) for n in range(12)]
    sure = [frame_of(n, at(100, confidence=0.875, class_id=APPLE)) for n in range(12, 20)]

    _, [track] = follow(unsure + sure)

    assert track.votes == {BALL: 3.0, APPLE: 7.0}
    assert track.class_id == APPLE


def test_a_tied_vote_goes_to_the_lowest_class() -> None:
    frames = [frame_of(n, at(100, class_id=BALL if n < 10 else APPLE)) for n in range(20)]

    _, [track] = follow(frames)

    assert track.votes == {BALL: 5.0, APPLE: 5.0}
    assert track.class_id == APPLE


def test_of_two_classes_on_one_object_the_more_confident_one_is_tracked() -> None:
    """Without labels alone, the track stays with the box it began on, the wrong one."""
    beginning = [frame_of(n, at(100, confidence=0.3, class_id=BALL)) for n in range(10)]
    both = [
        frame_of(n, at(100, confidence=0.3, class_id=BALL), at(103, confidence=0.8, class_id=APPLE))
        for n in range(10, 40)
    ]

    plain = PlainNorfair(labels=False)
    plain.follow(beginning + both)
    assert sorted(plain.classes.values()) == [APPLE, BALL]

    _, [track] = follow(beginning + both)
    assert track.class_id == APPLE
    assert track.votes == pytest.approx({BALL: 3.0, APPLE: 24.0})


# Extent by matched detections


def test_a_track_extends_from_its_first_to_its_last_detection() -> None:
    frames = [frame_of(n, *([at(100)] if 10 <= n < 40 else [])) for n in range(100)]
    options = TrackerOptions(hit_counter_max=15, initialization_delay=7)

    [[*active]] = PlainNorfair(options).follow(frames).values()
    assert (active[0], active[-1]) == (17, 54)

    observations, [track] = follow(frames, options)
    assert (track.first_frame, track.last_frame) == (10, 39)
    assert (track.first_s, track.last_s) == (10 / FPS, 39 / FPS)
    assert [seen.frame for seen in observations] == list(range(10, 40))


def test_a_product_that_comes_back_is_one_track_over_the_gap() -> None:
    frames = [frame_of(n, *([] if 20 <= n < 30 else [at(100)])) for n in range(50)]

    observations, [track] = follow(frames)

    assert (track.first_frame, track.last_frame, track.detections) == (0, 49, 40)
    assert not any(20 <= seen.frame < 30 for seen in observations)


def test_boxes_are_reported_as_detected() -> None:
    frames = [frame_of(n, at(100 + 7.25 * n + (n % 3))) for n in range(20)]

    observations, _ = follow(frames)

    assert [seen.xyxy for seen in observations] == [tuple(frame.xyxy[0]) for frame in frames]


def test_what_never_passes_the_initialization_delay_leaves_nothing_and_no_number() -> None:
    options = TrackerOptions(initialization_delay=7)
    blink = [frame_of(n, at(300)) for n in range(7)]
    frames = blink + [frame_of(n, at(100)) for n in range(7, 20)]

    observations, [track] = follow(frames, options)

    assert track.number == 1
    assert {seen.xyxy[0] for seen in observations} == {100.0}


def test_what_is_still_undecided_at_the_end_leaves_nothing() -> None:
    assert follow([frame_of(n, at(100)) for n in range(7)]) == ([], [])


def test_a_confirmed_track_outlives_its_last_detection_by_the_whole_hit_counter() -> None:
    """Norfair alone: by as many frames as it was detected before, if that is less."""
    options = TrackerOptions(hit_counter_max=30, initialization_delay=3)

    def seen_for_six_then_again_after(gap: int) -> list[Detections]:
        last = 6 + gap
        return [frame_of(n, *([at(100)] if n < 6 or n >= last else [])) for n in range(last + 20)]

    assert len(PlainNorfair(options).follow(seen_for_six_then_again_after(20))) == 2

    assert len(follow(seen_for_six_then_again_after(20), options)[1]) == 1
    assert len(follow(seen_for_six_then_again_after(30), options)[1]) == 1
    assert len(follow(seen_for_six_then_again_after(31), options)[1]) == 2


def test_a_product_put_down_with_a_hand_before_it_is_one_track() -> None:
    """It comes in from above, is hidden, shows for a moment, is hidden again, and stands there."""
    shown: dict[int, Box] = {n: ((270, 0, 330, 150 + 9 * n), 0.5, APPLE) for n in range(14)}
    shown |= dict.fromkeys((*range(36, 40), *range(58, 80)), ((270, 110, 330, 310), 0.5, APPLE))
    frames = [frame_of(n, *([shown[n]] if n in shown else [])) for n in range(80)]

    assert len(PlainNorfair().follow(frames)) == 2

    _, [track] = follow(frames)
    assert (track.first_frame, track.last_frame, track.detections) == (0, 79, 40)


# One track per product


def test_a_part_detected_beside_the_whole_begins_no_track() -> None:
    whole: Box = ((508, 106, 573, 316), 0.7, APPLE)
    part: Box = ((509, 106, 572, 248), 0.3, APPLE)
    frames = [frame_of(n, whole, *([part] if n >= 10 else [])) for n in range(60)]

    assert len(PlainNorfair().follow(frames)) == 2

    observations, [track] = follow(frames)
    assert track.detections == 60
    assert {seen.confidence for seen in observations} == {np.float32(0.7).item()}


def test_a_part_seen_from_the_beginning_begins_no_track_either() -> None:
    whole: Box = ((508, 106, 573, 316), 0.7, APPLE)
    part: Box = ((509, 106, 572, 248), 0.3, APPLE)

    _, [track] = follow([frame_of(n, part, whole) for n in range(30)])

    assert track.mean_confidence == pytest.approx(0.7)


def test_products_that_come_to_overlap_keep_their_tracks() -> None:
    """The rule is about beginning: what has a track keeps it."""
    frames = [frame_of(n, at(100 + min(n, 26)), at(140)) for n in range(60)]

    _, tracks = follow(frames)

    assert [(track.first_frame, track.last_frame) for track in tracks] == [(0, 59), (0, 59)]


# Degenerate boxes


def test_two_boxes_without_area_in_a_row_do_not_end_the_job() -> None:
    flat: Box = ((50, 50, 50, 90), 0.9, APPLE)
    frames = [frame_of(n, at(200), flat) for n in range(20)]

    plain = PlainNorfair()
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="nan"):
        plain.follow(frames)

    tracker = NorfairTracker(TrackerOptions())
    for frame in frames:
        tracker.update(frame)
    _, [track] = tracker.finish()
    assert track.detections == 20
    assert tracker.degenerate == 20


@pytest.mark.parametrize(
    "xyxy",
    [
        (50.0, 50.0, 50.0, 90.0),
        (50.0, 50.0, 90.0, 50.0),
        (90.0, 50.0, 50.0, 90.0),
        (90.0, 90.0, 50.0, 50.0),
        (float("nan"), 50.0, 90.0, 90.0),
        (50.0, 50.0, float("inf"), 90.0),
    ],
)
def test_a_degenerate_box_is_dropped_and_counted(
    xyxy: Xyxy, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = NorfairTracker(TrackerOptions(initialization_delay=0))

    assert tracker.update(frame_of(0, (xyxy, 0.9, APPLE), at(200)))[0].xyxy[0] == 200
    assert tracker.degenerate == 1
    assert len(tracker.finish()[1]) == 1
    assert not caplog.records


# Skipped frames


def test_with_a_stride_a_track_begins_and_ends_by_the_clock_of_the_source() -> None:
    """`period` must be given, and the skipped frames too; with one of them alone it goes wrong."""
    stride = 5
    options = TrackerOptions(hit_counter_max=30, initialization_delay=7)
    shown = [*range(0, 20, stride), *range(70, 120, stride)]
    frames = [frame_of(n, *([at(100)] if n in shown else [])) for n in range(0, 150, stride)]

    without_period = PlainNorfair(options)
    without_period.follow(frames)
    assert len(without_period.frames) == 1  # four detections are too few, though 20 frames long

    period_alone = PlainNorfair(options)
    for frame in frames:
        period_alone.update(frame, period=stride)
    assert len(period_alone.frames) == 1  # still waiting after 50 frames, so two are taken for one

    _, tracks = follow(frames, options, stride)
    assert [(track.first_frame, track.last_frame) for track in tracks] == [(0, 15), (70, 115)]
    assert [track.detections for track in tracks] == [4, 10]


@pytest.mark.parametrize("stride", [1, 2, 5, 15, 30])
def test_a_moving_product_is_one_track_at_any_stride_that_lets_its_boxes_overlap(
    stride: int,
) -> None:
    frames = [frame_of(n, at(10 + 0.5 * n)) for n in range(0, 300, stride)]

    _, [track] = follow(frames, stride=stride)

    assert track.detections == len(frames)


def test_a_stride_longer_than_a_track_lives_is_refused() -> None:
    with pytest.raises(UsageError, match="hit_counter_max must be at least 31, not 30"):
        NorfairTracker(TrackerOptions(hit_counter_max=30), stride=31)


def test_frames_must_come_in_order() -> None:
    tracker = NorfairTracker(TrackerOptions())
    tracker.update(frame_of(3))

    with pytest.raises(ValueError, match="frame 3 came after frame 3"):
        tracker.update(frame_of(3))


# Numbers


def test_tracks_are_numbered_from_1_in_each_job_of_a_process() -> None:
    frames = [frame_of(n, at(100), at(300)) for n in range(20)]
    plain = [PlainNorfair(), PlainNorfair()]
    ours = [NorfairTracker(TrackerOptions()), NorfairTracker(TrackerOptions())]
    for frame in frames:
        for job in plain:
            job.update(frame)
        for tracker in ours:
            tracker.update(frame)

    assert not set(plain[0].frames) & set(plain[1].frames)  # so one job at least starts late
    for tracker in ours:
        assert [track.number for track in tracker.finish()[1]] == [1, 2]


def test_tracks_are_numbered_in_order_of_first_appearance_not_of_confirmation() -> None:
    options = TrackerOptions(initialization_delay=3)
    early = at(100)
    steady = at(300)
    frames = [frame_of(0, early), frame_of(1, steady)]
    frames += [frame_of(n, steady, early) for n in range(2, 20)]

    plain = PlainNorfair(options)
    for frame in frames[:5]:
        plain.update(frame)
    [first_id] = plain.tracker.get_active_objects()
    assert first_id.id == 1
    assert first_id.last_detection.points[0, 0] == 300

    observations, _ = follow(frames, options)
    assert {seen.track: seen.xyxy[0] for seen in observations} == {1: 100.0, 2: 300.0}


# Distances


def corner_distance(detection: norfair.Detection, tracked: norfair.tracker.TrackedObject) -> float:
    return float(np.linalg.norm(detection.points - tracked.estimate, axis=1).mean())


@pytest.mark.parametrize(
    "options",
    [TrackerOptions(), TrackerOptions(distance_function="euclidean", distance_threshold=50)],
)
def test_distances_are_never_computed_pair_by_pair(
    options: TrackerOptions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a scalar distance")

    monkeypatch.setattr(ScalarDistance, "get_distances", refuse)
    frames = [frame_of(n, at(100), at(300)) for n in range(20)]

    with caplog.at_level(logging.WARNING), pytest.raises(AssertionError, match="a scalar distance"):
        PlainNorfair(options, distance=corner_distance).follow(frames)
    assert "scalar distance function" in caplog.text
    caplog.clear()

    assert len(follow(frames, options)[1]) == 2
    assert not caplog.records


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    follow([frame_of(n, at(100), at(300, class_id=BALL)) for n in range(20)])

    assert capfd.readouterr() == ("", "")


# What is held back


def test_observations_wait_for_an_undecided_candidate_of_an_earlier_frame() -> None:
    tracker = NorfairTracker(TrackerOptions(initialization_delay=3))
    for n in range(10):
        tracker.update(frame_of(n, at(100)))

    assert tracker.update(frame_of(10, at(100), at(300))) == []
    assert tracker.update(frame_of(11, at(100), at(300))) == []
    assert tracker.update(frame_of(12, at(100), at(300))) == []
    settled = tracker.update(frame_of(13, at(100), at(300)))
    assert [(seen.frame, seen.track) for seen in settled] == [
        (n, track) for n in range(10, 14) for track in (1, 2)
    ]


def test_a_candidate_that_blinks_for_ever_holds_back_a_bounded_number_of_frames() -> None:
    blinking_from = 20
    frames = [
        frame_of(n, at(100), *([at(300)] if n >= blinking_from and n % 2 == 0 else []))
        for n in range(blinking_from + 3 * HELD_FRAMES)
    ]

    plain = PlainNorfair()
    plain.follow(frames)
    assert any(one.is_initializing for one in plain.tracker.tracked_objects)

    tracker = NorfairTracker(TrackerOptions())
    lags = []
    settled: list[int] = []
    for frame in frames:
        settled += [seen.frame for seen in tracker.update(frame)]
        lags.append(frame.frame - settled[-1] if settled else 0)
    assert max(lags) == HELD_FRAMES
    rest, [track] = tracker.finish()
    assert settled + [seen.frame for seen in rest] == list(range(len(frames)))
    assert track.detections == len(frames)


def test_a_candidate_confirmed_after_the_longest_hold_begins_at_what_is_still_held() -> None:
    blinks = range(0, 2 * HELD_FRAMES, 2)
    steady = range(blinks.stop, blinks.stop + 20)
    shown = {*blinks, *steady}
    frames = [frame_of(n, *([at(300)] if n in shown else [])) for n in range(steady.stop)]

    observations, [track] = follow(frames)

    confirmed = steady.start + TrackerOptions().initialization_delay - 1
    assert track.first_frame in range(confirmed - HELD_FRAMES, confirmed - HELD_FRAMES + 3)
    assert track.detections == len(observations)


def test_memory_does_not_grow_with_the_length_of_the_video() -> None:
    """One product stands there throughout, with noise; every 100 frames another one passes."""

    def frame(n: int) -> Detections:
        boxes = [at(100)]
        if n % 100 < 20:
            boxes.append(at(300 + 5 * (n % 100)))
        if n % 7 == 0:
            boxes.append(at(50 * (n % 9), 300))
        return frame_of(n, *boxes)

    tracker = NorfairTracker(TrackerOptions())
    held = []
    tracks_at_marks = []
    tracks = 0
    for n in range(8_001):
        for seen in tracker.update(frame(n)):
            tracks = max(tracks, seen.track)
        if n in (2_000, 8_000):
            gc.collect()
            held.append(len(gc.get_objects()))
            tracks_at_marks.append(tracks)
    finished = tracks_at_marks[1] - tracks_at_marks[0]

    assert finished == 60
    assert held[1] - held[0] <= 8 * finished + 200


# All of it at once


def crowd(frames: int, seed: int) -> list[Detections]:
    """Products that walk, blink, change class and come in pairs of boxes, and noise."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 600, 8)
    speed = rng.uniform(-2, 2, 8)
    made = []
    for n in range(frames):
        boxes = [
            at(x[k] + speed[k] * n + rng.normal(0, 1), 80.0 * k, rng.uniform(0.3, 0.9), k % 3)
            for k in range(8)
            if rng.random() < 0.8
        ]
        boxes += [at(rng.uniform(0, 600), rng.uniform(0, 600)) for _ in range(rng.poisson(0.3))]
        made.append(frame_of(n, *boxes))
    return made


def summary(observations: Sequence[Observation]) -> list[tuple[object, ...]]:
    """Tracks as a reader of the trajectories file would sum them up."""
    by_track: dict[int, list[Observation]] = defaultdict(list)
    for seen in observations:
        by_track[seen.track].append(seen)
    rows: list[tuple[object, ...]] = []
    for number, own in sorted(by_track.items()):
        votes: dict[int, float] = defaultdict(float)
        for seen in own:
            votes[seen.class_id] += seen.confidence
        best = max(votes, key=lambda class_id: votes[class_id])
        mean = sum(seen.confidence for seen in own) / len(own)
        rows.append((number, best, own[0].frame, own[-1].frame, own[0].time_s, len(own), mean))
    return rows


@pytest.mark.parametrize("stride", [1, 3])
def test_tracks_are_the_sums_of_their_observations(stride: int) -> None:
    frames = crowd(400, seed=5)[::stride]
    observations, tracks = follow(frames, stride=stride)

    detected = {(frame.frame, tuple(xyxy.tolist())) for frame in frames for xyxy in frame.xyxy}
    assert len(tracks) >= 8
    assert [track.number for track in tracks] == list(range(1, len(tracks) + 1))
    assert [seen.frame for seen in observations] == sorted(seen.frame for seen in observations)
    assert {(seen.frame, seen.xyxy) for seen in observations} <= detected
    assert len({(seen.frame, seen.xyxy) for seen in observations}) == len(observations)
    assert len({(seen.frame, seen.track) for seen in observations}) == len(observations)
    firsts = [track.first_frame for track in tracks]
    assert firsts == sorted(firsts)
    assert [
        (
            track.number,
            track.class_id,
            track.first_frame,
            track.last_frame,
            track.first_s,
            track.detections,
            pytest.approx(track.mean_confidence),
        )
        for track in tracks
    ] == summary(observations)


def test_the_same_detections_give_the_same_tracks() -> None:
    frames = crowd(200, seed=9)

    assert follow(frames) == follow(frames)


def test_a_video_without_detections_has_no_tracks() -> None:
    assert follow([frame_of(n) for n in range(10)]) == ([], [])
    assert follow([]) == ([], [])

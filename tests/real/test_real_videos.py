"""The `track` job on real footage, against what a person saw in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import polars as pl
import pytest

from db.files import sha256_of
from db.layout import model_address
from db.results import TrackResult
from db.specs import TrackerOptions, TrackSpec
from worker.context import Context
from worker.detection import look
from worker.jobs import track

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Real:
    """One home with the COCO model, for several videos."""

    home: Path
    shared: Path

    def spec(self, video: str, **options: Any) -> TrackSpec:
        path = self.shared / "data" / video
        return TrackSpec(
            video=str(path),
            video_sha256=sha256_of(path),
            model="coco",
            model_sha256=sha256_of(self.shared / "weights" / "yolov8n.pt"),
            **options,
        )

    def track(self, video: str, name: str, **options: Any) -> TrackResult:
        folder = self.home / "jobs" / name
        folder.mkdir(parents=True)
        found = track.run(self.spec(video, **options), Context(self.home, folder))
        assert isinstance(found, TrackResult)
        return found

    def truth(self, video: str) -> Any:
        return json.loads((self.shared / "data" / f"{video}.truth.json").read_text())


@pytest.fixture(scope="session")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Real:
    home = tmp_path_factory.mktemp("home")
    weights = shared / "weights" / "yolov8n.pt"
    kept = home / model_address(sha256_of(weights))
    kept.parent.mkdir(parents=True)
    kept.write_bytes(weights.read_bytes())
    return Real(home, shared)


@pytest.fixture(scope="session")
def shelf(real: Real) -> TrackResult:
    return real.track("shelf-bottles.mp4", "shelf", classes=("bottle",))


@pytest.fixture(scope="session")
def belt(real: Real) -> TrackResult:
    return real.track("belt-produce.mp4", "belt", annotate=True)


def live(result: TrackResult, frame: int) -> int:
    return sum(one.first_frame <= frame <= one.last_frame for one in result.tracks)


def test_every_frame_of_the_shelf_is_decoded_and_looked_at(shelf: TrackResult) -> None:
    assert shelf.video.frames_decoded == shelf.video.frames_claimed == 1189
    assert shelf.frames_processed == shelf.frames_inferred == 1189
    assert shelf.video.frames_missing == 0
    assert shelf.video.duration_s == pytest.approx(1189 / 29.83, abs=0.1)


def test_at_most_three_bottles_stand_on_the_shelf_at_once(shelf: TrackResult) -> None:
    [bottle] = shelf.counts
    assert (bottle.class_name, bottle.peak_simultaneous) == ("bottle", 3)


def test_while_the_shelf_is_left_alone_the_live_tracks_are_the_bottles_on_it(
    real: Real, shelf: TrackResult
) -> None:
    for interval in real.truth("shelf-bottles")["standing"]:
        frames = range(interval["first"], interval["last"] + 1)
        right = sum(live(shelf, frame) == interval["bottles"] for frame in frames)
        assert right / len(frames) >= 0.97, interval


def test_seven_appearances_make_no_more_than_nine_tracks(shelf: TrackResult) -> None:
    assert len(shelf.tracks) <= 9


@pytest.mark.parametrize("name", ["apple", "orange"])
def test_a_fruit_on_the_belt_is_one_track_that_covers_its_crossing(
    real: Real, belt: TrackResult, name: str
) -> None:
    [fruit] = [one for one in belt.tracks if one.class_name == name]
    truth = real.truth("belt-produce")
    [crossing] = [one["frame"] for one in truth["crossings"] if one["item"] == name]
    boxes = pl.read_parquet(real.home / "jobs" / "belt" / "trajectories.parquet")
    mine = boxes.filter(pl.col("track") == fruit.track).with_columns(
        middle=(pl.col("x1") + pl.col("x2")) / 2 / belt.video.width
    )
    crossed = mine.filter(pl.col("middle") <= 0.5)["frame"].min()
    assert isinstance(crossed, int)
    assert abs(crossed - crossing) <= truth["tolerance_frames"]


def test_the_apple_that_begins_as_a_sports_ball_is_an_apple_by_vote(belt: TrackResult) -> None:
    [apple] = [one for one in belt.tracks if one.class_name == "apple"]
    assert apple.class_votes["sports ball"] > 0
    assert apple.class_votes["apple"] > apple.class_votes["sports ball"]
    assert "sports ball" not in {one.class_name for one in belt.tracks}


def test_the_annotated_video_has_every_frame_of_the_original(real: Real, belt: TrackResult) -> None:
    assert {file.name for file in belt.files} == {"annotated.mp4", "trajectories.parquet"}
    with av.open(str(real.home / "jobs" / "belt" / "annotated.mp4")) as drawn:
        stream = drawn.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert sum(1 for _ in drawn.decode(stream)) == belt.video.frames_decoded


def test_other_tracker_options_cost_no_inference(
    real: Real, shelf: TrackResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(look, "kept_detector", refuse)
    again = real.track(
        "shelf-bottles.mp4",
        "shelf-again",
        classes=("bottle",),
        tracker=TrackerOptions(distance_threshold=0.8),
    )
    assert again.frames_inferred == 0
    assert again.frames_processed == 1189
    assert again.detections == shelf.detections

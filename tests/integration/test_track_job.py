"""The `track` job as a function, on scenes whose truth is known."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import polars as pl
import pytest

from db.errors import ModelError, Stopped, UsageError, VideoError
from db.files import sha256_of
from db.job_records import Progress
from db.layout import model_address
from db.results import TrackFacts, TrackResult
from db.specs import TrackSpec
from demo.belt import belt
from demo.render import write_clip
from demo.truth import ClipTruth, ProductTruth
from tests.clips import cut_off
from tests.deployment import WEIGHTS
from worker.context import Context
from worker.jobs import track

SECONDS = 6.0


@pytest.fixture(scope="module")
def clip(home: Path) -> Path:
    path = home / "belt.mp4"
    write_clip(belt(4, SECONDS), path, home / "truth.json")
    return path


@pytest.fixture
def context(home: Path, tmp_path: Path) -> Context:
    return Context(home, tmp_path)


def spec(video: Path, **options: Any) -> TrackSpec:
    return TrackSpec(
        video=str(video),
        video_sha256=sha256_of(video),
        model="demo",
        model_sha256=sha256_of(WEIGHTS),
        **options,
    )


def test_the_products_on_a_belt_are_counted(home: Path, clip: Path, context: Context) -> None:
    found = track.run(spec(clip), context)
    truth = ClipTruth.read(home / "truth.json")
    shown = [one for one in truth.products if len(one.boxes) > 10]
    assert found.frames_processed == found.frames_inferred == truth.frames == 150
    assert abs(len(found.tracks) - len(shown)) <= 1
    matched = [one for one in shown if any(is_of(one, track) for track in found.tracks)]
    assert len(matched) >= len(shown) - 1


def is_of(product: ProductTruth, found: TrackFacts) -> bool:
    """Whether a track is of this product: its class, from its entry to its exit."""
    return (
        found.class_name == product.class_name
        and abs(found.first_frame - product.entry) <= 12
        and abs(found.last_frame - product.exit) <= 12
    )


def test_the_trajectories_are_the_boxes_of_the_tracks(clip: Path, context: Context) -> None:
    found = track.run(spec(clip), context)
    boxes = pl.read_parquet(context.folder / "trajectories.parquet")
    assert boxes["frame"].is_sorted()
    for one in found.tracks:
        mine = boxes.filter(pl.col("track") == one.track)
        assert len(mine) == one.detections
        assert (mine["frame"].min(), mine["frame"].max()) == (one.first_frame, one.last_frame)
        assert mine["confidence"].mean() == pytest.approx(one.mean_confidence, abs=1e-6)
    assert boxes["x2"].max() <= 640
    assert boxes["y2"].max() <= 360


def test_only_the_wanted_classes_are_tracked_and_nothing_is_inferred_again(
    clip: Path, context: Context
) -> None:
    everything = track.run(spec(clip), context)
    found = track.run(spec(clip, classes=("banana", "apple")), context)
    assert found.frames_inferred == 0
    assert {one.class_name for one in found.tracks} == {"banana", "apple"}
    assert 0 < found.detections < everything.detections


def test_with_a_stride_only_every_nth_frame_is_looked_at(clip: Path, context: Context) -> None:
    found = track.run(spec(clip, stride=3, annotate=True), context)
    assert (found.frames_processed, found.video.frames_decoded) == (50, 150)
    assert found.tracks
    assert all(one.first_frame % 3 == 0 for one in found.tracks)
    with av.open(str(context.folder / "annotated.mp4")) as drawn:
        times = [frame.time for frame in drawn.decode(video=0)]
    assert len(times) == 50
    assert times[1] == pytest.approx(3 / 25)


def test_durations_are_right_where_the_frame_rate_changes(home: Path, context: Context) -> None:
    video = home / "changing.mp4"
    write_changing(video)
    found = track.run(spec(video), context)
    # 50 frames of 0.04 s, then 25 of 0.1 s: by frames / fps all of it would be wrong.
    assert found.video.duration_s == pytest.approx(4.5, abs=0.11)
    whole = [one for one in found.tracks if one.first_frame == 0 and one.last_frame == 74]
    assert whole, "a product is seen from the first frame to the last"
    for one in whole:
        assert one.last_s - one.first_s == pytest.approx(2.0 + 24 * 0.1)


def write_changing(path: Path) -> None:
    """A belt, 2 s at 25 frames a second and 2.5 s at 10."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 100)
        for number, (image, _) in enumerate(islice(belt(4, SECONDS), 75)):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = 4 * number if number < 50 else 200 + 10 * (number - 50)
            frame.time_base = Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_what_decodes_of_a_cut_off_video_is_tracked(
    home: Path, clip: Path, context: Context
) -> None:
    broken = home / "broken.mp4"
    faststart(clip, broken)
    cut_off(broken, 0.6)
    found = track.run(spec(broken), context)
    assert 30 < found.video.frames_decoded < 150
    assert found.video.frames_missing == 150 - found.video.frames_decoded
    assert found.tracks
    assert "missing" in (found.video.damage or "")


def faststart(source: Path, target: Path) -> None:
    """The same packets with the index at the front, where a cut does not reach it."""
    with (
        av.open(str(source)) as inbound,
        av.open(str(target), "w", options={"movflags": "faststart"}) as outbound,
    ):
        stream = outbound.add_stream_from_template(inbound.streams.video[0])
        for packet in inbound.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                outbound.mux(packet)


def test_a_video_that_changed_since_it_was_enqueued_is_refused(
    home: Path, clip: Path, context: Context
) -> None:
    other = home / "other.mp4"
    other.write_bytes(clip.read_bytes())
    asked = spec(other)
    with other.open("ab") as file:
        file.write(b"more")
    with pytest.raises(VideoError, match="has changed since it was enqueued"):
        track.run(asked, context)


def test_a_model_that_changed_or_is_gone_is_refused(
    clip: Path, context: Context, tmp_path: Path
) -> None:
    empty = Context(tmp_path / "empty", tmp_path)
    with pytest.raises(ModelError, match="is gone"):
        track.run(spec(clip), empty)
    kept = tmp_path / "empty" / model_address(sha256_of(WEIGHTS))
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"something else")
    with pytest.raises(ModelError, match="has changed since it was registered"):
        track.run(spec(clip), empty)


def test_a_video_outside_the_roots_is_refused(
    home: Path, clip: Path, context: Context, tmp_path: Path
) -> None:
    link = tmp_path / "link.mp4"
    link.symlink_to(clip)
    context.roots = (tmp_path,)
    with pytest.raises(UsageError, match="outside the allowed folders"):
        track.run(spec(link), context)


def test_a_job_that_is_told_to_stop_leaves_no_detections_behind(
    clip: Path, context: Context, tmp_path: Path
) -> None:
    reports: list[Progress] = []
    context.report = reports.append
    context.stop_wanted = lambda: any(one.done >= 20 for one in reports)
    with pytest.raises(Stopped):
        track.run(spec(clip, imgsz=320), context)
    assert list(context.folder.iterdir()) == []
    context.stop_wanted = lambda: False
    again: TrackResult = track.run(spec(clip, imgsz=320), context)
    assert again.frames_inferred == 150

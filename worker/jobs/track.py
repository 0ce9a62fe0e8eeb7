"""Detect and track the products in one video: decode, detect, track, count, draw.

from worker.context import Context
from worker.jobs import track

result = track.run(spec, Context(home, folder))
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np

from db.errors import VideoError
from db.files import sha256_of
from db.layout import model_address
from db.results import CountFacts, FileFacts, TrackFacts, TrackResult, VideoFacts
from db.specs import TrackSpec
from worker.checkpoint import verify
from worker.context import Context
from worker.detection.detections import Detections
from worker.detection.detector import Detector
from worker.detection.store import DetectionKey, DetectionStore, StoredDetections, floor_for
from worker.inputs import allowed_file
from worker.read_ahead import read_ahead
from worker.track_statistics import Track, count_classes
from worker.tracking import NorfairTracker
from worker.trajectories import TrajectoryWriter, read_frames
from worker.ultralytics_env import backend_name
from worker.video import Frame, VideoReader

# Ultralytics keeps 300 boxes a frame; a full shelf has more products than that.
_MAX_DET = 1000

_TRAJECTORIES = "trajectories.parquet"
_ANNOTATED = "annotated.mp4"


def run(spec: TrackSpec, context: Context) -> TrackResult:
    """Track the products in a video.

    Raises:
        VideoError: the file is no video, or not the one that was enqueued.
        ModelError: the model's file is gone or has changed.
        UsageError: the device is not there, or the options do not fit each other.
        Stopped: the job was told to stop.
    """
    weights = context.home / model_address(spec.model_sha256)
    verify(weights, spec.model_sha256)
    video = _unchanged_video(spec, context)
    store = DetectionStore(context.home / "detections")
    key = _key(spec, context)
    stored = store.find(key)
    frames_inferred = 0
    if stored is None:
        stored = _detect(spec, context, video, weights, store, key)
        frames_inferred = stored.contents.frames
    names = dict(enumerate(stored.contents.class_names))
    tracker = NorfairTracker(spec.tracker, spec.stride)
    tracks, detections = _track(spec, context, stored, tracker, names)
    files = [_TRAJECTORIES]
    if spec.annotate:
        _annotate(spec, context, video, stored, {one.number: names[one.class_id] for one in tracks})
        files.append(_ANNOTATED)
    counts = count_classes(tracks, stored.contents.video.frames_decoded, spec.stride)
    return TrackResult(
        video=stored.contents.video,
        frames_processed=stored.contents.frames,
        frames_inferred=frames_inferred,
        detections=detections,
        degenerate_boxes=tracker.degenerate,
        limited_frames=stored.contents.limited_frames,
        tracks=tuple(_facts(track, names) for track in tracks),
        counts=tuple(
            CountFacts(
                class_name=names[count.class_id],
                tracks=count.tracks,
                detections=count.detections,
                peak_simultaneous=count.peak_simultaneous,
                mean_visible=count.mean_visible,
            )
            for count in counts.values()
        ),
        files=tuple(_file(context.folder / name) for name in files),
    )


def _unchanged_video(spec: TrackSpec, context: Context) -> Path:
    video = allowed_file(Path(spec.video), context.roots)
    context.advance(0, None, "frames", "reading the video")
    found = sha256_of(video, lambda read: context.advance(0, None, "frames", "reading the video"))
    if found != spec.video_sha256:
        raise VideoError(
            f"{video} has changed since it was enqueued (sha256 {found[:12]}, not "
            f"{spec.video_sha256[:12]}): enqueue it again"
        )
    return video


def _key(spec: TrackSpec, context: Context) -> DetectionKey:
    return DetectionKey(
        video_sha256=spec.video_sha256,
        model_sha256=spec.model_sha256,
        imgsz=spec.imgsz,
        conf_floor=floor_for(spec.conf),
        iou=spec.iou,
        max_det=_MAX_DET,
        backend=backend_name(spec.device or context.device),
        stride=spec.stride,
    )


@lru_cache(maxsize=1)
def _detector(weights: Path, key: tuple[str, str, float, float, int]) -> Detector:
    """The detector of the last job, kept for the next: loading one takes seconds."""
    from worker.detection.ultralytics_yolo import UltralyticsYolo  # torch: seconds, and GBs

    _, device, conf_floor, iou, imgsz = key
    return UltralyticsYolo(weights, device, conf_floor, iou, imgsz, _MAX_DET)


def _detect(
    spec: TrackSpec,
    context: Context,
    video: Path,
    weights: Path,
    store: DetectionStore,
    key: DetectionKey,
) -> StoredDetections:
    """Look at every `stride`-th frame and keep what was seen."""
    context.advance(0, None, "frames", "loading the model")
    device = spec.device or context.device
    detector = _detector(weights, (spec.model_sha256, device, key.conf_floor, spec.iou, spec.imgsz))
    with VideoReader(video, spec.stride) as reader, store.write(key, context.folder) as writer:
        context.advance(0, reader.info.frames_claimed, "frames", "detecting")
        with closing(read_ahead(reader)) as frames:
            for batch in _batches(frames, detector.batch_size):
                seen = detector.detect([frame.image for frame in batch])
                for frame, one in zip(batch, seen, strict=True):
                    writer.add(
                        Detections(
                            frame.index, frame.time_s, one.xyxy, one.confidence, one.class_id
                        ),
                        one.limited,
                    )
                done = batch[-1].index + 1
                context.advance(done, reader.info.frames_claimed, "frames", "detecting")
        names = tuple(detector.class_names[number] for number in sorted(detector.class_names))
        return writer.commit(_video_facts(reader), names)


def _batches(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    while batch := list(islice(frames, size)):
        yield batch


def _video_facts(reader: VideoReader) -> VideoFacts:
    return VideoFacts(
        width=reader.info.width,
        height=reader.info.height,
        fps=reader.info.fps,
        frames_decoded=reader.frames_decoded,
        frames_claimed=reader.info.frames_claimed,
        frames_missing=reader.missing,
        duration_s=reader.end_s,
        codec=reader.info.codec,
        damage=reader.damage,
    )


def _track(
    spec: TrackSpec,
    context: Context,
    stored: StoredDetections,
    tracker: NorfairTracker,
    names: dict[int, str],
) -> tuple[list[Track], int]:
    """Turn detections into tracks; returns them, and how many detections were offered."""
    wanted = [number for number, name in names.items() if name in (spec.classes or ())]
    total = stored.contents.video.frames_decoded
    offered = 0
    with TrajectoryWriter(context.folder / _TRAJECTORIES, names) as trajectories:
        for detections in stored.above(spec.conf):
            if spec.classes is not None:
                detections = detections.where(np.isin(detections.class_id, wanted))
            offered += len(detections)
            trajectories.add(tracker.update(detections))
            context.advance(detections.frame + 1, total, "frames", "tracking")
        last, tracks = tracker.finish()
        trajectories.add(last)
    return tracks, offered


def _annotate(
    spec: TrackSpec,
    context: Context,
    video: Path,
    stored: StoredDetections,
    classes: dict[int, str],
) -> None:
    """Draw the tracks on the frames that were looked at."""
    from worker.annotation import Annotator
    from worker.video_writer import VideoWriter

    facts = stored.contents.video
    annotator = Annotator(facts.width, facts.height)
    rows = read_frames(context.folder / _TRAJECTORIES)
    upcoming = next(rows, None)
    with (
        VideoReader(video, spec.stride) as reader,
        VideoWriter(
            context.folder / _ANNOTATED, facts.width, facts.height, facts.fps / spec.stride
        ) as writer,
        closing(read_ahead(reader)) as frames,
    ):
        for frame in frames:
            if upcoming is not None and upcoming[0] == frame.index:
                seen = upcoming[1]
                annotator.draw(
                    frame.image,
                    np.array([[row[k] for k in ("x1", "y1", "x2", "y2")] for row in seen], "f4"),
                    np.array([row["track"] for row in seen], "i4"),
                    [classes[row["track"]] for row in seen],
                    np.array([row["confidence"] for row in seen], "f4"),
                )
                upcoming = next(rows, None)
            writer.write(frame.image, frame.time_s)
            context.advance(frame.index + 1, facts.frames_decoded, "frames", "drawing")


def _facts(track: Track, names: dict[int, str]) -> TrackFacts:
    return TrackFacts(
        track=track.number,
        class_name=names[track.class_id],
        class_votes={names[number]: votes for number, votes in track.votes.items()},
        first_frame=track.first_frame,
        last_frame=track.last_frame,
        first_s=track.first_s,
        last_s=track.last_s,
        detections=track.detections,
        mean_confidence=track.mean_confidence,
    )


def _file(path: Path) -> FileFacts:
    return FileFacts(name=path.name, sha256=sha256_of(path), size_bytes=path.stat().st_size)

"""Detect and track the products in one video: decode, detect, track, count, draw.

In a notebook, with no queue and no database: `track.run(spec, Context(home, folder))`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from db.file_facts import FileFacts
from db.results import CountFacts, Split, TrackFacts, TrackResult
from db.specs import DetectSpec, Segment, TrackSpec
from worker.context import Context
from worker.detection.joined import JoinedDetections
from worker.detection.look import Look
from worker.detection.store import StoredDetections
from worker.read_ahead import read_ahead
from worker.track_statistics import Track, count_classes
from worker.tracking import NorfairTracker
from worker.trajectories import TrajectoryWriter, read_frames
from worker.video import VideoReader

Stored = StoredDetections | JoinedDetections

_TRAJECTORIES = "trajectories.parquet"
_ANNOTATED = "annotated.mp4"


def run(spec: TrackSpec, context: Context) -> TrackResult | Split:
    """Track the products in a video; of a long one, ask for its segments to be detected first.

    Raises:
        VideoError: the file is no video, or not the one that was enqueued.
        ModelError: the model's file is gone or has changed.
        UsageError: the device is not there, or the options do not fit each other.
        Stopped: the job was told to stop.
    """
    look = Look.of(spec, context)
    stored: Stored | None = look.find(Segment.whole())
    frames_inferred = 0
    if stored is None:
        segments = look.segments(context.segment_s)
        if len(segments) == 1:
            stored = look.detect(segments[0], context)
            frames_inferred = stored.contents.frames
        else:
            found = {segment: look.find(segment) for segment in segments}
            if missing := [segment for segment, part in found.items() if part is None]:
                return _split(spec, look, missing)
            stored = look.join([part for part in found.values() if part is not None])
    names = dict(enumerate(stored.contents.class_names))
    tracker = NorfairTracker(spec.tracker, spec.stride)
    tracks, detections = _track(spec, context, stored, tracker, names)
    files = [_TRAJECTORIES]
    if spec.annotate:
        classes = {one.number: names[one.class_id] for one in tracks}
        _annotate(spec, context, look.video, stored, classes)
        look.refuse_if_changed(context)
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
        files=tuple(FileFacts.of(context.folder / name) for name in files),
    )


def _split(spec: TrackSpec, look: Look, missing: Sequence[Segment]) -> Split:
    """The segments that nobody has looked at yet, as jobs."""
    return Split(
        children=tuple(
            DetectSpec(
                segment=segment,
                conf_floor=look.conf_floor,
                **spec.model_dump(include=set(DetectSpec.model_fields) - {"kind"}),
            )
            for segment in missing
        ),
        total=sum(segment.frames or 0 for segment in missing) or None,
        unit="frames",
    )


def _track(
    spec: TrackSpec,
    context: Context,
    stored: Stored,
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
            trajectories.record(tracker.update(detections))
            context.advance(detections.frame + 1, total, "frames", "tracking")
        last, tracks = tracker.finish()
        trajectories.record(last)
    return tracks, offered


def _annotate(
    spec: TrackSpec,
    context: Context,
    video: Path,
    stored: Stored,
    classes: dict[int, str],
) -> None:
    """Draw the tracks on the frames that were looked at."""
    from worker.drawing import draw_boxes
    from worker.video_writer import VideoWriter

    facts = stored.contents.video
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
                draw_boxes(
                    frame.image,
                    np.array([[row[k] for k in ("x1", "y1", "x2", "y2")] for row in seen], "f4"),
                    np.array([row["track"] for row in seen], "i4"),
                    [
                        f"#{row['track']} {classes[row['track']]} {row['confidence']:.2f}"
                        for row in seen
                    ],
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

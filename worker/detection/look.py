"""Looking at a video with a model: what that depends on, and what was kept of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

from db.errors import VideoError
from db.layout import model_address
from db.one_line import printable
from db.results import VideoFacts
from db.specs import DetectSpec, Segment, TrackSpec
from worker.checkpoint import verify
from worker.context import Context
from worker.detection.detections import Detections
from worker.detection.joined import JoinedDetections
from worker.detection.kept import kept_detector
from worker.detection.key import DetectionKey
from worker.detection.store import DetectionStore, StoredDetections
from worker.inputs import allowed_file
from worker.read_ahead import read_ahead
from worker.segments import plan
from worker.video import Frame, VideoReader, probe
from worker.video_content import content_of


@dataclass(frozen=True, slots=True)
class Look:
    """One way to look at one video.

    Attributes:
        video: the file, which is the one that was enqueued.
        weights: the registered checkpoint, unchanged.
        key: what detections of it are kept under: of the whole video, or of the job's segment.
        device: `cpu`, `cuda:0`.
        store: where they are kept.
    """

    video: Path
    weights: Path
    key: DetectionKey
    device: str
    store: DetectionStore

    @classmethod
    def of(cls, spec: TrackSpec | DetectSpec, context: Context) -> Self:
        """What a spec asks for, once video and model are seen to be the ones it means.

        Raises:
            VideoError: the video has changed since it was enqueued.
            ModelError: the model's file is gone or has changed.
            UsageError: the video is gone, or lies outside the roots.
        """
        weights = context.home / model_address(spec.model_sha256)
        verify(weights, spec.model_sha256)
        return cls(
            _unchanged_video(spec, context),
            weights,
            DetectionKey.of(spec, context.device),
            spec.device or context.device,
            DetectionStore(context.home),
        )

    @property
    def conf_floor(self) -> float:
        """Confidence above which detections are kept."""
        return self.key.conf_floor

    def segments(self, segment_s: float | None) -> list[Segment]:
        """The video in parts of about `segment_s` seconds; one part if it is no longer than that.

        Raises:
            VideoError: the file is no video that can be decoded.
        """
        duration_s = probe(self.video).duration_s
        if segment_s is None or duration_s is None or duration_s <= segment_s:
            return [Segment.whole()]
        return plan(self.video, math.ceil(duration_s / segment_s))

    def find(self, segment: Segment) -> StoredDetections | None:
        """What was kept of a segment; None if nobody has looked at it."""
        return self.store.find(self.key.part(segment))

    def join(self, parts: Sequence[StoredDetections]) -> JoinedDetections:
        """What was kept of all segments, as of one video."""
        return JoinedDetections(parts, probe(self.video).frames_claimed)

    def detect(self, segment: Segment, context: Context) -> StoredDetections:
        """Look at every `stride`-th frame of a segment, and keep what is seen.

        Raises:
            VideoError, OSError: the video cannot be decoded, or not be read on.
            UsageError: the device is not there.
            Stopped: the job was told to stop.
        """
        context.advance(0, None, "frames", "loading the model")
        key = self.key
        detector = kept_detector(
            self.weights, self.device, key.conf_floor, key.iou, key.imgsz, key.max_det
        )
        names = tuple(detector.class_names[number] for number in sorted(detector.class_names))
        with (
            VideoReader(self.video, self.key.stride, segment) as reader,
            self.store.write(self.key.part(segment), context.folder) as writer,
            closing(read_ahead(reader)) as frames,
        ):
            total = segment.frames or reader.info.frames_claimed
            context.advance(0, total, "frames", "detecting")
            for batch in _batches(frames, detector.batch_size):
                seen = detector.detect([frame.image for frame in batch])
                for frame, one in zip(batch, seen, strict=True):
                    writer.add(
                        Detections(
                            frame.index, frame.time_s, one.xyxy, one.confidence, one.class_id
                        ),
                        one.limited,
                    )
                done = batch[-1].index + 1 - segment.first_frame
                context.advance(done, total, "frames", "detecting")
            self.refuse_if_changed(context)
            return writer.commit(_video_facts(reader), names, segment.first_frame)

    def refuse_if_changed(self, context: Context) -> None:
        """Make sure that the video is still the one that was enqueued, after it was decoded.

        Raises:
            VideoError: it has changed.
            OSError: it cannot be read, or is gone.
        """
        _refuse_if_changed(self.video, self.key.video_sha256, context)


def _unchanged_video(spec: TrackSpec | DetectSpec, context: Context) -> Path:
    video = allowed_file(Path(spec.video), context.roots)
    context.advance(0, None, "frames", "reading the video")
    _refuse_if_changed(video, spec.video_sha256, context)
    return video


def _refuse_if_changed(video: Path, sha256: str, context: Context) -> None:
    """Make sure that a video is the one that was enqueued.

    Before it is decoded, and after that: what was decoded from a file that was replaced or written
    to meanwhile must not be kept under its content. A file that was not touched is not read again.

    Raises:
        VideoError: it has changed.
        OSError: it cannot be read, or is gone.
    """
    found = content_of(video, lambda _: context.advance(0, None, "frames", "reading the video"))
    if found != sha256:
        raise VideoError(
            f"{printable(str(video))} has changed since it was enqueued (sha256 {found[:12]}, not "
            f"{sha256[:12]}): enqueue it again"
        )


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

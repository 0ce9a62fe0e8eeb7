"""Look at one segment of a video, and keep what was seen for the job that tracks."""

from __future__ import annotations

from db.results import DetectResult
from db.specs import DetectSpec
from worker.context import Context
from worker.detection.look import Look


def run(spec: DetectSpec, context: Context) -> DetectResult:
    """Keep the detections of a segment, unless they are kept already.

    Raises:
        VideoError: the file is no video, or not the one that was enqueued.
        ModelError: the model's file is gone or has changed.
        UsageError: the device is not there.
        Stopped: the job was told to stop.
    """
    look = Look.of(spec, context)
    stored, frames_inferred = look.find(spec.segment), 0
    if stored is None:
        stored = look.detect(spec.segment, context)
        frames_inferred = stored.contents.frames
    return DetectResult(
        address=str(stored.folder.relative_to(context.home)),
        frames=stored.contents.frames,
        frames_inferred=frames_inferred,
        detections=stored.contents.detections,
    )

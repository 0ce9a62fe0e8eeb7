"""A `detect` job that does what its "video" says, as the simulated `track` job does."""

from __future__ import annotations

import json
from pathlib import Path

from db.results import DetectResult
from db.specs import DetectSpec
from worker.context import Context
from worker.jobs.track import stored, work  # the simulated one


def run(spec: DetectSpec, context: Context) -> DetectResult:
    """Do as the file says, and keep that it was done."""
    work(json.loads(Path(spec.video).read_text()), context)
    path = stored(spec, spec.segment, context)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return DetectResult(
        address=str(path.relative_to(context.home)), frames=1, frames_inferred=1, detections=1
    )

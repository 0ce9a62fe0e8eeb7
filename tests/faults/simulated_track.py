"""A `track` job that does what its "video" says: a text file with JSON in it.

    seconds   how long it works; 0 if absent
    segments  how many segments it is split into first; none if absent
    then      how it ends: `succeed` (if absent), `raise`, `refuse` (permanent), `abort`, `hang` (in
              C, holding the interpreter's lock), `killed` (as by the system when memory runs out),
              `grow` (beyond the limit of 512 MiB), `deaf` (works on after it was told to stop)
    attempts  in which attempts `then` is so, counted from 1; in all if absent
    child     whether it starts a process of its own, which would live for an hour

It writes what a real one writes: a file in the attempt's folder, and facts for every table.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from db.errors import VideoError
from db.job_records import Progress
from db.results import CountFacts, FileFacts, Split, TrackFacts, TrackResult, VideoFacts
from db.specs import DetectSpec, Segment, TrackSpec
from worker.context import Context

_STEP_S = 0.05


def run(spec: TrackSpec, context: Context) -> TrackResult | Split:
    """Do as the file says."""
    wanted = json.loads(Path(spec.video).read_text())
    if missing := [one for one in _segments(wanted) if not stored(spec, one, context).exists()]:
        return Split(
            children=tuple(
                DetectSpec(
                    segment=segment,
                    conf_floor=0.1,
                    **spec.model_dump(include=set(DetectSpec.model_fields) - {"kind"}),
                )
                for segment in missing
            ),
            total=len(missing),
            unit="frames",
        )
    work(wanted, context)
    path = context.folder / "trajectories.parquet"
    path.write_text(f"of {spec.video_sha256}")
    return _result(path)


def stored(spec: TrackSpec | DetectSpec, segment: Segment, context: Context) -> Path:
    """Where the simulated detections of a segment are kept."""
    return context.home / "detections" / f"{spec.video_sha256}-{segment.number}"


def work(wanted: dict[str, Any], context: Context) -> None:
    """Take the time, and end as it is wanted."""
    attempt = int(context.folder.name.removeprefix("attempt-"))
    then = wanted.get("then", "succeed")
    if attempt not in wanted.get("attempts", [attempt]):
        then = "succeed"
    if wanted.get("child"):
        subprocess.Popen(["sleep", "3600"])
    half = context.folder / "half.parquet"
    half.write_text("not whole yet")
    seconds = wanted.get("seconds", 0.0)
    started = time.monotonic()
    while (done := time.monotonic() - started) < seconds:
        if then == "deaf":
            context.report(Progress(done, seconds, "frames", "detecting"))
        else:
            context.advance(done, seconds, "frames", "detecting")
        time.sleep(_STEP_S)
    match then:
        case "raise":
            raise RuntimeError("it went wrong")
        case "refuse":
            raise VideoError("this is no video")
        case "abort":
            os.abort()
        case "hang":
            ctypes.PyDLL(None).pause()
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "grow":
            _grow(context)
    half.unlink()


def _grow(context: Context) -> None:
    memory = bytearray()
    while True:
        memory += b"x" * 2**26
        context.advance(len(memory), None, "bytes", "growing")
        time.sleep(_STEP_S)


def _segments(wanted: dict[str, Any]) -> list[Segment]:
    count = wanted.get("segments", 0)
    return [
        Segment(
            number=number,
            of=count,
            first_pts=number,
            end_pts=number + 1,
            first_frame=number,
            frames=1,
            start_pts=0,
        )
        for number in range(count)
    ]


def _result(path: Path) -> TrackResult:
    content = path.read_bytes()
    return TrackResult(
        video=VideoFacts(
            width=64,
            height=48,
            fps=25.0,
            frames_decoded=100,
            frames_claimed=100,
            frames_missing=0,
            duration_s=4.0,
            codec="h264",
            damage=None,
        ),
        frames_processed=100,
        frames_inferred=100,
        detections=80,
        degenerate_boxes=0,
        limited_frames=0,
        tracks=(
            TrackFacts(
                track=1,
                class_name="apple",
                class_votes={"apple": 60.0},
                first_frame=10,
                last_frame=89,
                first_s=0.4,
                last_s=3.56,
                detections=80,
                mean_confidence=0.75,
            ),
        ),
        counts=(
            CountFacts(
                class_name="apple",
                tracks=1,
                detections=80,
                peak_simultaneous=1,
                mean_visible=0.8,
            ),
        ),
        files=(
            FileFacts(
                name=path.name,
                sha256=hashlib.sha256(content).hexdigest(),
                size_bytes=len(content),
            ),
        ),
    )

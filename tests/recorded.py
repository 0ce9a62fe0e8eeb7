"""Rows as workers leave them, without a worker: registered models and finished jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from db import job_creation, jobs, results
from db.job_records import Job
from db.jobs import Claimant, Lease
from db.layout import model_address
from db.model_results import RegisterResult
from db.results import CountFacts, TrackFacts, TrackResult, VideoFacts
from db.specs import RegisterSpec, Spec, TrackSpec, TrainSpec
from db.training_results import EpochFacts
from worker.track_statistics import Track, count_classes

WORKER = Claimant("cpu-1@here", "here", "cpu")


def sha256(text: str) -> str:
    """The sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def claimed(tx: Connection, spec: Spec, *, force: bool = False) -> Lease:
    """A job that runs."""
    job, new = job_creation.create(tx, spec, max_attempts=3, force=force)
    assert new, f"job {job.id} does the same"
    lease = jobs.claim(tx, job.id, WORKER, 60)
    assert lease is not None
    return lease


def finished(database: Engine, spec: Spec, result: results.Result) -> Job:
    """A job that succeeded, with its results."""
    with database.begin() as tx:
        lease = claimed(tx, spec, force=True)
        jobs.finish(tx, lease)
        results.write(tx, lease.job, result)
    return lease.job


def checkpoint(*class_names: str) -> RegisterResult:
    """What a checkpoint with these classes turns out to be."""
    return RegisterResult(
        task="detect",
        architecture="yolov8n",
        class_names=class_names,
        parameters=3_000_000,
        size_bytes=6_000_000,
    )


def register_model(
    database: Engine, name: str, classes: Sequence[str], home: Path | None = None
) -> str:
    """Register a model; its file lies under `home`, if there is one.

    Returns:
        its sha256.
    """
    content = sha256(name)
    spec = RegisterSpec(name=name, weights=f"/weights/{name}.pt", weights_sha256=content)
    finished(database, spec, checkpoint(*classes))
    if home is not None:
        kept = home / model_address(content)
        kept.parent.mkdir(parents=True)
        kept.write_text(name)  # of that sha256
    return content


def train_spec(base: str, **options: Any) -> TrainSpec:
    """A request to train `fruit` from `products@1`, whose content is `base`."""
    return TrainSpec(
        **{
            "name": "fruit",
            "base": "products@1",
            "base_sha256": base,
            "dataset": "fruit",
            "data": "/data/fruit/data.yaml",
            "dataset_sha256": sha256("fruit"),
            "epochs": 3,
            "settings": {"lr0": 0.001},
        }
        | options
    )


def epoch_facts(number: int, *, best: bool = False, final: bool = False) -> EpochFacts:
    """An epoch of a training; the numbers are anybody's."""
    return EpochFacts(
        epoch=number,
        box_loss=1.0,
        cls_loss=1.0,
        dfl_loss=1.0,
        val_box_loss=None,
        val_cls_loss=1.0,
        val_dfl_loss=1.0,
        precision=0.5,
        recall=0.5,
        map50=0.5,
        map50_95=0.25,
        learning_rates=(0.01, 0.02, 0.03),
        seconds=2.5,
        best=best,
        final=final,
    )


def track_spec(model_sha256: str, video: str = "/footage/aisle.mp4") -> TrackSpec:
    """A request to track a video whose content is its path."""
    return TrackSpec(
        video=video, video_sha256=sha256(video), model="coco", model_sha256=model_sha256
    )


def track_result(
    tracks: Sequence[Track], names: Sequence[str], frames: int, fps: float = 10.0
) -> TrackResult:
    """What a job says that saw these tracks in a video of so many frames."""
    counts = count_classes(tracks, frames)
    return TrackResult(
        video=VideoFacts(
            width=128,
            height=64,
            fps=fps,
            frames_decoded=frames,
            frames_claimed=frames + 2,
            frames_missing=2,
            duration_s=frames / fps,
            codec="h264",
            damage=None,
        ),
        frames_processed=frames,
        frames_inferred=frames,
        detections=sum(one.detections for one in tracks),
        degenerate_boxes=0,
        limited_frames=1,
        tracks=tuple(
            TrackFacts(
                track=one.number,
                class_name=names[one.class_id],
                class_votes={names[number]: votes for number, votes in one.votes.items()},
                first_frame=one.first_frame,
                last_frame=one.last_frame,
                first_s=one.first_s,
                last_s=one.last_s,
                detections=one.detections,
                mean_confidence=one.mean_confidence,
            )
            for one in tracks
        ),
        counts=tuple(
            CountFacts(
                class_name=names[one.class_id],
                tracks=one.tracks,
                detections=one.detections,
                peak_simultaneous=one.peak_simultaneous,
                mean_visible=one.mean_visible,
            )
            for one in counts.values()
        ),
        files=(),
    )


def track(
    number: int, class_id: int, first: int, last: int, confidence: float = 0.5, fps: float = 10.0
) -> Track:
    """A track that was detected in every frame from `first` to `last`."""
    detections = last - first + 1
    return Track(
        number=number,
        class_id=class_id,
        votes={class_id: confidence * detections},
        first_frame=first,
        last_frame=last,
        first_s=first / fps,
        last_s=last / fps,
        detections=detections,
        mean_confidence=confidence,
    )

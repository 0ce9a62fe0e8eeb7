"""What each job kind writes when it finishes, inside the fenced transaction."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from db.comparison_results import CompareResult, write_comparison
from db.dataset_results import CheckResult, write_dataset
from db.errors import ModelError
from db.evaluation_results import EvaluateResult, write_evaluation
from db.file_facts import FileFacts
from db.job_records import Job
from db.layout import attempt_address
from db.model_results import RegisterResult, write_model
from db.model_tables import ModelRow
from db.prediction_results import PredictResult, write_prediction
from db.specs import (
    CheckSpec,
    CompareSpec,
    DetectSpec,
    EvaluateSpec,
    PredictSpec,
    RegisterSpec,
    TrackSpec,
    TrainSpec,
)
from db.tables import (
    ClassCountRow,
    DetectionSetRow,
    FileRow,
    JobRow,
    TrackingRow,
    TrackRow,
    VideoRow,
)
from db.training_results import TrainResult, write_training


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class VideoFacts(_Facts):
    """A video as it was decoded; the columns of `videos`."""

    width: int
    height: int
    fps: float
    frames_decoded: int
    frames_claimed: int | None
    frames_missing: int
    duration_s: float
    codec: str
    damage: str | None


class TrackFacts(_Facts):
    """One track; the columns of `tracks`."""

    track: int
    class_name: str
    class_votes: dict[str, float]
    first_frame: int
    last_frame: int
    first_s: float
    last_s: float
    detections: int
    mean_confidence: float


class CountFacts(_Facts):
    """One class; the columns of `class_counts`."""

    class_name: str
    tracks: int
    detections: int
    peak_simultaneous: int
    mean_visible: float


class TrackResult(_Facts):
    """What a `track` job found."""

    kind: Literal["track"] = "track"
    video: VideoFacts
    frames_processed: int
    frames_inferred: int
    detections: int
    degenerate_boxes: int
    limited_frames: int
    tracks: tuple[TrackFacts, ...]
    counts: tuple[CountFacts, ...]
    files: tuple[FileFacts, ...]


class DetectResult(_Facts):
    """What a `detect` job kept; the files lie at their address already."""

    kind: Literal["detect"] = "detect"
    address: str
    frames: int
    frames_inferred: int
    detections: int
    files: tuple[FileFacts, ...] = ()


class Split(_Facts):
    """Not a result yet: the job is to wait for these smaller ones, and to be run again then."""

    kind: Literal["split"] = "split"
    children: tuple[DetectSpec, ...] = Field(min_length=1)
    total: int | None
    unit: str


Result = (
    TrackResult
    | DetectResult
    | RegisterResult
    | CheckResult
    | EvaluateResult
    | CompareResult
    | PredictResult
    | TrainResult
)
RunnerResult = Annotated[Result | Split, Field(discriminator="kind")]


def write(tx: Connection, job: Job, result: Result) -> None:
    """Write what a job found. The caller has fenced the transaction with `jobs.finish`."""
    folder = attempt_address(job.id, job.attempt)
    for file in result.files:
        tx.execute(
            insert(FileRow).values(
                job_id=job.id,
                address=str(folder / file.name),
                **file.model_dump(),
            )
        )
    spec = job.parsed_spec
    if isinstance(spec, TrackSpec) and isinstance(result, TrackResult):
        _write_tracking(tx, job.id, spec, result)
    elif isinstance(spec, DetectSpec) and isinstance(result, DetectResult):
        values = result.model_dump(exclude={"kind", "files"})
        tx.execute(insert(DetectionSetRow).values(job_id=job.id, **values))
    elif isinstance(spec, RegisterSpec) and isinstance(result, RegisterResult):
        write_model(tx, job.id, spec, result)
    elif isinstance(spec, CheckSpec) and isinstance(result, CheckResult):
        write_dataset(tx, job.id, spec, result)
    elif isinstance(spec, EvaluateSpec) and isinstance(result, EvaluateResult):
        write_evaluation(tx, job.id, spec, result)
    elif isinstance(spec, CompareSpec) and isinstance(result, CompareResult):
        write_comparison(tx, job.id, spec, result)
    elif isinstance(spec, PredictSpec) and isinstance(result, PredictResult):
        write_prediction(tx, job.id, spec, result, folder)
    elif isinstance(spec, TrainSpec) and isinstance(result, TrainResult):
        write_training(tx, job.id, spec, result)
    else:
        raise TypeError(f"a {job.kind} job cannot have a result of kind {result.kind}")


def _write_tracking(tx: Connection, job_id: int, spec: TrackSpec, result: TrackResult) -> None:
    model_id = tx.scalar(select(ModelRow.id).where(ModelRow.sha256 == spec.model_sha256))
    if model_id is None:
        raise ModelError(f"model {spec.model} is not registered any more")
    tx.execute(
        insert(TrackingRow).values(
            job_id=job_id,
            video_id=_video_id(tx, spec, result.video),
            model_id=model_id,
            frames_inferred=result.frames_inferred + _inferred_by_children(tx, job_id),
            **result.model_dump(
                include={
                    "frames_processed",
                    "detections",
                    "degenerate_boxes",
                    "limited_frames",
                }
            ),
        )
    )
    _insert_all(tx, TrackRow, job_id, result.tracks)
    _insert_all(tx, ClassCountRow, job_id, result.counts)


def _inferred_by_children(tx: Connection, job_id: int) -> int:
    query = select(func.sum(DetectionSetRow.frames_inferred)).where(
        DetectionSetRow.job_id == JobRow.id, JobRow.parent_id == job_id
    )
    return int(tx.scalar(query) or 0)


def _insert_all(
    tx: Connection, table: type[TrackRow | ClassCountRow], job_id: int, facts: tuple[_Facts, ...]
) -> None:
    rows = []
    for fact in facts:
        values: dict[str, Any] = fact.model_dump()
        rows.append({"job_id": job_id, "class": values.pop("class_name"), **values})
    if rows:
        tx.execute(insert(table.__table__), rows)  # type: ignore[arg-type]


def _video_id(tx: Connection, spec: TrackSpec, video: VideoFacts) -> int:
    """The id of the video's row, which is made, or brought up to date if the video is known."""
    values = {"address": spec.video, **video.model_dump()}
    try:
        with tx.begin_nested():
            tx.execute(insert(VideoRow).values(sha256=spec.video_sha256, **values))
    except IntegrityError:
        tx.execute(update(VideoRow).where(VideoRow.sha256 == spec.video_sha256).values(**values))
    return tx.scalars(select(VideoRow.id).where(VideoRow.sha256 == spec.video_sha256)).one()

"""Have images looked at, and see what was seen in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from db.dialect import reading
from db.errors import UsageError
from db.image_files import find_images, sha256_of_images
from db.model_tables import ModelRow
from db.prediction_tables import DetectionRow, PredictionImageRow, PredictionRow
from db.settings import settings
from db.specs import PredictSpec, Priority
from db.tables import JobRow
from producer.enqueue import Enqueued, database, enqueue, validated
from producer.inputs import LeavingOut, log_left_out
from producer.registry import usable_model
from producer.tracking import known_classes


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a `predict` job saw.

    Attributes:
        job_id: the job.
        model: what looked, `name@version`.
        model_sha256: its content.
        ended_at: when.
        facts: a row of `predictions`, without the ids.
        classes: of each class that was seen, `class`, `detections` and `images`, the most first.
        unreadable: `name` and `problem` of each image that could not be read.
    """

    job_id: int
    model: str
    model_sha256: str
    ended_at: datetime
    facts: dict[str, Any]
    classes: tuple[dict[str, Any], ...]
    unreadable: tuple[dict[str, Any], ...]


def predict(
    sources: Iterable[str | Path],
    model: str,
    *,
    conf: float = 0.25,
    iou: float = 0.7,
    imgsz: int = 640,
    max_det: int = 300,
    classes: Sequence[str] | None = None,
    device: str | None = None,
    annotate: bool = True,
    priority: Priority = Priority.NORMAL,
    force: bool = False,
    on_read: Callable[[int, int], None] = lambda done, total: None,
    on_left_out: LeavingOut = log_left_out,
) -> Enqueued:
    """Enqueue one job that looks at images.

    Args:
        sources: images, globs, or folders with all below them.
        model: name of a registered model.
        conf, iou, imgsz, max_det, device: as for Ultralytics' `predict`.
        classes: names of the classes to look for; all if None.
        annotate: write the images with their boxes drawn.
        priority: which of the waiting jobs go first.
        force: look again even if the same was looked at before.
        on_read: called with the number of images read so far, and of all.
        on_left_out: called for each file of a folder or glob that cannot be taken; by default
            that is logged.

    Raises:
        UsageError: a value, a class or a source cannot be.
        ModelError: no such model, or its file is gone.
        OSError: an image cannot be read at all.
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    registered = usable_model(model)
    asked = validated(
        PredictSpec,
        sources=tuple(map(_absolute, sources)),
        images_sha256="0" * 64,
        model=registered.reference,
        model_sha256=registered.sha256,
        conf=conf,
        iou=iou,
        imgsz=imgsz,
        max_det=max_det,
        classes=known_classes(classes, registered),
        device=device,
        annotate=annotate,
    )
    images = find_images(asked.sources, settings().root_paths, on_left_out)
    digest = sha256_of_images(images, lambda done: on_read(done, len(images.names)))
    spec = asked.model_copy(update={"images_sha256": digest})
    [enqueued] = enqueue([spec], priority=priority, force=force)
    return enqueued


def _absolute(source: str | Path) -> str:
    """A source as a worker finds it too; a link keeps its own name."""
    if not str(source):
        raise UsageError("an empty name is no image: is a variable unset?")
    path = Path(source).expanduser()
    if path.name in ("", ".."):
        return str(path.resolve())
    return str(path.parent.resolve() / path.name)


def prediction(job_id: int) -> Prediction:
    """What a job saw.

    Raises:
        UsageError: it looked at no images.
    """
    row_of, jobs, models = PredictionRow.__table__, JobRow.__table__.c, ModelRow.__table__.c
    query = (
        select(
            row_of,
            models.name.label("model"),
            models.version,
            models.sha256.label("model_sha256"),
            jobs.ended_at,
        )
        .join(ModelRow, models.id == row_of.c.model_id)
        .join(JobRow, jobs.id == row_of.c.job_id)
        .where(row_of.c.job_id == job_id)
    )
    boxes, images = DetectionRow.__table__.c, PredictionImageRow.__table__.c
    by_class = (
        select(
            boxes["class"],
            func.count().label("detections"),
            func.count(boxes.image_number.distinct()).label("images"),
        )
        .where(boxes.job_id == job_id)
        .group_by(boxes["class"])
        .order_by(func.count().desc(), boxes["class"])
    )
    unread = (
        select(images.name, images.problem)
        .where(images.job_id == job_id, images.problem.is_not(None))
        .order_by(images.number)
    )
    with reading(database()) as tx:
        row = tx.execute(query).mappings().first()
        classes = tuple(map(dict, tx.execute(by_class).mappings()))
        unreadable = tuple(map(dict, tx.execute(unread).mappings()))
    if row is None:
        raise UsageError(f"job {job_id} looked at no images: `nightshelf jobs show {job_id}`")
    columns = set(row_of.c.keys()) - {"job_id", "model_id"}
    return Prediction(
        job_id=row["job_id"],
        model=f"{row['model']}@{row['version']}",
        model_sha256=row["model_sha256"],
        ended_at=row["ended_at"],
        facts={key: row[key] for key in row if key in columns},
        classes=classes,
        unreadable=unreadable,
    )

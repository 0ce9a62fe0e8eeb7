"""Have models compared on the same images, and look at how they compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, select

from db.common_classes import common_classes
from db.comparison_tables import (
    ComparisonClassRow,
    ComparisonErrorRow,
    ComparisonModelRow,
    ComparisonRow,
)
from db.dataset_files import sha256_of_dataset
from db.dataset_tables import DatasetRow
from db.dialect import reading
from db.error_kinds import ErrorKind
from db.errors import UsageError
from db.model_tables import ModelRow
from db.specs import CompareSpec, Priority
from db.tables import JobRow
from producer.dataset_checks import called
from producer.enqueue import Enqueued, database, enqueue, validated
from producer.evaluating import in_order, rows_of_job
from producer.inputs import named_dataset
from producer.registry import usable_model

Metric = Literal["map50", "map50_95"]
"""Those whose differences have an interval."""


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """A model in a comparison.

    Attributes:
        model, model_sha256: which.
        metrics: a row of `comparison_models`, without the ids.
        classes: a row of `comparison_classes` for each class.
        errors: a row of `comparison_errors` for each kind.
    """

    model: str
    model_sha256: str
    metrics: dict[str, Any]
    classes: tuple[dict[str, Any], ...]
    errors: tuple[dict[str, Any], ...]

    def better(self, by: Metric = "map50_95") -> bool:
        """Whether it is better than the base: the interval of the difference is above zero."""
        low = self.metrics[f"{by}_low"]
        return low is not None and low > 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a `compare` job measured.

    Attributes:
        job_id: the job.
        dataset, dataset_sha256: on what.
        ended_at: when.
        arguments: a row of `comparisons`, without the ids.
        models: in their order; the first is the base.
    """

    job_id: int
    dataset: str
    dataset_sha256: str
    ended_at: datetime
    arguments: dict[str, Any]
    models: tuple[ComparedModel, ...]

    def of(self, model_sha256: str) -> ComparedModel:
        """The model with this content.

        Raises:
            UsageError: it was not compared.
        """
        for one in self.models:
            if one.model_sha256 == model_sha256:
                return one
        raise UsageError(f"job {self.job_id} did not compare model {model_sha256[:12]}")


def compare(
    base: str,
    models: Sequence[str],
    data: str | Path,
    *,
    split: str = "val",
    imgsz: int = 640,
    batch: int = 16,
    conf: float = 0.001,
    iou: float = 0.7,
    max_det: int = 300,
    class_map: Mapping[str, str] | None = None,
    at: float | None = None,
    match_iou: float = 0.5,
    device: str | None = None,
    name: str | None = None,
    priority: Priority = Priority.NORMAL,
    force: bool = False,
    on_read: Callable[[int, int], None] = lambda done, total: None,
) -> Enqueued:
    """Enqueue the comparison of models on the same images of a data set.

    Args:
        base: a registered model: its name, or `name@version`.
        models: those that are compared with it.
        data: the data set's YAML file.
        split: `train`, `val` or `test`.
        imgsz, batch, conf, iou, max_det, device: as for Ultralytics' `val`.
        class_map: a class of a model, and what the data set calls it.
        at: the confidence from which on true and false positives are counted; each model's own of
            the highest mean F1 if None.
        match_iou: the IoU from which on a box counts as one: 0.5, 0.55, ... or 0.95.
        name: what to call the data set.
        priority: which of the waiting jobs go first.
        force: compare again even if the same was compared before.
        on_read: called with the number of images read so far, and of all.

    Raises:
        ModelError: no such model, its file is gone, or there is no class that all of them know.
        DatasetError: the file stands for no data set, or has no such split.
        UsageError: a value cannot be, or a model is given twice.
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    registered = [usable_model(one) for one in (base, *models)]
    files = named_dataset(data)
    asked = validated(
        CompareSpec,
        models=[one.reference for one in registered],
        model_sha256s=[one.sha256 for one in registered],
        name=name or called(files.data),
        data=str(files.data),
        dataset_sha256="0" * 64,
        split=split,
        imgsz=imgsz,
        batch=batch,
        conf=conf,
        iou=iou,
        max_det=max_det,
        class_map=dict(class_map or {}),
        at=at,
        match_iou=match_iou,
        device=device,
    )
    files.images(split)
    names = {one.reference: dict(enumerate(one.classes)) for one in registered}
    common_classes(files.class_names, names, asked.class_map)
    digest = sha256_of_dataset(files, on_read)
    spec = asked.model_copy(update={"dataset_sha256": digest})
    [enqueued] = enqueue([spec], priority=priority, force=force)
    return enqueued


def comparison(job_id: int) -> Comparison:
    """How models compare.

    Raises:
        UsageError: the job compared none.
    """
    compared, jobs, datasets = (table.__table__.c for table in (ComparisonRow, JobRow, DatasetRow))
    query = (
        select(
            ComparisonRow.__table__,
            datasets.name.label("dataset"),
            datasets.sha256.label("dataset_sha256"),
            jobs.ended_at,
        )
        .join(DatasetRow, datasets.id == compared.dataset_id)
        .join(JobRow, jobs.id == compared.job_id)
        .where(compared.job_id == job_id)
    )
    with reading(database()) as tx:
        row = tx.execute(query).mappings().first()
        if row is None:
            raise UsageError(f"job {job_id} compared no models: `nightshelf jobs show {job_id}`")
        models = compared_models(tx, job_id)
    columns = set(compared.keys()) - {"job_id", "dataset_id"}
    return Comparison(
        job_id=job_id,
        dataset=row["dataset"],
        dataset_sha256=row["dataset_sha256"],
        ended_at=row["ended_at"],
        arguments={key: row[key] for key in row if key in columns},
        models=models,
    )


def compared_models(tx: Connection, job_id: int) -> tuple[ComparedModel, ...]:
    """The models that a job compared, the base first; none if it compared none."""
    known = {
        one.id: one
        for one in tx.execute(select(ModelRow.id, ModelRow.name, ModelRow.version, ModelRow.sha256))
    }
    classes = rows_of_job(tx, ComparisonClassRow, job_id, "class")
    errors = in_order(rows_of_job(tx, ComparisonErrorRow, job_id), "kind", ErrorKind)
    found = []
    for metrics in rows_of_job(tx, ComparisonModelRow, job_id, "position"):
        model, place = known[metrics.pop("model_id")], metrics["position"]
        found.append(
            ComparedModel(
                f"{model.name}@{model.version}",
                model.sha256,
                metrics,
                *(
                    tuple(
                        {key: one[key] for key in one if key != "position"}
                        for one in rows
                        if one["position"] == place
                    )
                    for rows in (classes, errors)
                ),
            )
        )
    return tuple(found)

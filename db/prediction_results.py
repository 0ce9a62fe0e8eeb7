"""What a `predict` job writes: what a model saw in images, a row for each box.

There may be a million boxes: they come in files, and are never in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, insert, select

from db.errors import ModelError
from db.file_facts import FileFacts
from db.model_tables import ModelRow
from db.prediction_specs import PredictSpec
from db.prediction_tables import DetectionRow, PredictionImageRow, PredictionRow
from db.settings import settings

IMAGES = "images.parquet"
DETECTIONS = "detections.parquet"
ANNOTATED = "annotated"

# Some MB at a time.
_ROWS_AT_ONCE = 20_000


class PredictResult(BaseModel):
    """What a `predict` job found; the columns of `predictions`.

    The rows of `prediction_images` and `detections` are in the files `IMAGES` and `DETECTIONS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["predict"] = "predict"
    folder: str
    device: str
    images: int
    unreadable: int
    limited: int
    detections: int
    seconds: float
    files: tuple[FileFacts, ...]


def write_prediction(
    tx: Connection, job_id: int, spec: PredictSpec, result: PredictResult, address: PurePosixPath
) -> None:
    """Write what a model saw in images.

    Args:
        tx: the transaction.
        job_id: the job.
        spec: what was asked for.
        result: what came of it.
        address: the attempt's folder, relative to `home`.

    Raises:
        ModelError: the model is not registered any more.
    """
    model_id = tx.scalar(select(ModelRow.id).where(ModelRow.sha256 == spec.model_sha256))
    if model_id is None:
        raise ModelError(f"model {spec.model} is not registered any more")
    tx.execute(
        insert(PredictionRow).values(
            job_id=job_id,
            model_id=model_id,
            classes=None if spec.classes is None else list(spec.classes),
            annotated=str(address / ANNOTATED) if spec.annotate else None,
            **spec.model_dump(include={"imgsz", "conf", "iou", "max_det"}),
            **result.model_dump(exclude={"kind", "files"}),
        )
    )
    folder = settings().home / address
    tables: tuple[tuple[str, Any], ...] = (
        (IMAGES, PredictionImageRow.__table__),
        (DETECTIONS, DetectionRow.__table__),
    )
    for file, table in tables:
        columns = [one.name for one in table.columns if one.name != "job_id"]
        for rows in _batches(folder / file, columns):
            tx.execute(insert(table), [{"job_id": job_id, **row} for row in rows])


def _batches(path: Path, columns: list[str]) -> Iterator[list[dict[str, Any]]]:
    import polars  # heavy, and whoever only asks for a job loads this module too

    table = polars.scan_parquet(path).select(columns)
    offset = 0
    while rows := table.slice(offset, _ROWS_AT_ONCE).collect().to_dicts():
        yield rows
        offset += len(rows)

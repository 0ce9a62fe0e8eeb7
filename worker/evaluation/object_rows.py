"""A table of all boxes that a model saw and all objects that are there, with their outcomes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from worker.evaluation.analysis import Analysis, ImageErrors
from worker.evaluation.outcomes import NOBODY, OUTCOMES

_BOX = ("x1", "y1", "x2", "y2")
_COLUMNS = ("image", "truth", "class", "confidence", *_BOX, "outcome", "iou", "matched_class")


def object_rows(analysis: Analysis) -> pl.DataFrame:
    """A row for each object (`truth`) and for each box, in the order of the images.

    Returns:
        columns `image`, `truth`, `class`, `confidence` (null for objects), `x1`, `y1`, `x2`, `y2`
        in pixels of the image, `outcome` (of an object: at the confidence of the analysis), `iou`
        and `matched_class` of the object or box that the outcome is about, null if there is none.
        A box on background has the highest IoU that it has with any object.
    """
    tables = [
        part.with_columns(pl.lit(str(one.seen.image)).alias("image"))
        for one in analysis.images
        for part in (_objects(one), _boxes(one))
    ]
    codes = dict(enumerate(OUTCOMES))
    return (
        pl.concat(tables)
        .with_columns(
            _named("class", analysis.names),
            _named("outcome", codes),
            _named("matched_class", analysis.names),
            pl.col("confidence", "iou").fill_nan(None),
        )
        .select(_COLUMNS)
    )


def _named(column: str, names: Mapping[int, str]) -> pl.Expr:
    return pl.col(column).replace_strict(dict(names), default=None, return_dtype=pl.String)


def _objects(one: ImageErrors) -> pl.DataFrame:
    seen, by = one.seen, one.true_by
    if not len(seen.confidence):
        iou, matched = np.full(len(by), np.nan, np.float32), np.full(len(by), NOBODY, np.int32)
    else:
        iou = np.where(by == NOBODY, np.nan, seen.overlap[np.arange(len(by)), by])
        matched = np.where(by == NOBODY, NOBODY, seen.class_id[by])
    confidence = np.full(len(by), np.nan, np.float32)
    return _table(True, seen.true_class_id, confidence, seen.true_xyxy, one.true_code, iou, matched)


def _boxes(one: ImageErrors) -> pl.DataFrame:
    seen, about = one.seen, one.outcomes.about
    matched = np.full(len(about), NOBODY, np.int32)
    if len(seen.true_class_id):
        matched = np.where(about == NOBODY, NOBODY, seen.true_class_id[about])
    return _table(
        False,
        seen.class_id,
        seen.confidence,
        seen.xyxy,
        one.outcomes.code,
        one.outcomes.iou,
        matched,
    )


def _table(
    truth: bool,
    class_id: NDArray[np.int32],
    confidence: NDArray[np.float32],
    xyxy: NDArray[np.float32],
    code: NDArray[np.int8],
    iou: NDArray[np.float32] | NDArray[np.float64],
    matched: NDArray[np.int32],
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "truth": np.full(len(code), truth),
            "class": class_id.astype(np.int32),
            "confidence": confidence,
            **{name: np.ascontiguousarray(xyxy[:, place]) for place, name in enumerate(_BOX)},
            "outcome": code.astype(np.int32),
            "iou": iou.astype(np.float32),
            "matched_class": matched.astype(np.int32),
        }
    )

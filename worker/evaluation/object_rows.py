"""A table of all boxes that a model saw and all objects that are there, with their outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from worker.evaluation.analysis import Analysis, ImageErrors
from worker.evaluation.outcomes import NOBODY, OUTCOMES

_BOX = ("x1", "y1", "x2", "y2")
_COLUMNS = ("image", "truth", "class", "confidence", *_BOX, "outcome", "iou", "matched_class")
# Some hundred thousand rows, some tens of megabytes.
_IMAGES_AT_ONCE = 1000

_Columns = dict[str, NDArray[np.generic]]


def object_rows(analysis: Analysis, checkpoint: Callable[[], None]) -> Iterator[pl.DataFrame]:
    """A row for each object (`truth`) and for each box, in the order of the images.

    Args:
        analysis: of a model.
        checkpoint: called before each table; what it raises ends it.

    Returns:
        tables one after the other, of columns `image`, `truth`, `class`, `confidence` (null for
        objects), `x1`, `y1`, `x2`, `y2` in pixels of the image, `outcome` (of an object: at the
        confidence of the analysis), `iou` and `matched_class` of the object or box that the outcome
        is about, null if there is none. A box on background has the highest IoU that it has with
        any object.
    """
    for first in range(0, len(analysis.images), _IMAGES_AT_ONCE):
        checkpoint()
        yield _table(analysis.images[first : first + _IMAGES_AT_ONCE], analysis.names)


def _table(images: Sequence[ImageErrors], names: Mapping[int, str]) -> pl.DataFrame:
    parts = [part for one in images for part in (_objects(one), _boxes(one))]
    table = pl.DataFrame(
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    )
    paths = pl.Series([str(one.seen.image) for one in images for _ in range(2)])
    return table.with_columns(
        paths.gather(np.repeat(np.arange(len(parts)), [len(one["class"]) for one in parts])).alias(
            "image"
        ),
        _named("class", names),
        _named("outcome", dict(enumerate(OUTCOMES))),
        _named("matched_class", names),
        pl.col("confidence", "iou").fill_nan(None),
    ).select(_COLUMNS)


def _named(column: str, names: Mapping[int, str]) -> pl.Expr:
    return pl.col(column).replace_strict(dict(names), default=None, return_dtype=pl.String)


def _objects(one: ImageErrors) -> _Columns:
    seen, by = one.seen, one.true_by
    confidence = np.full(len(by), np.nan, np.float32)
    iou = _of(by, seen.outcomes.iou, np.float32(np.nan))
    matched = _of(by, seen.class_id, np.int32(NOBODY))
    return _columns(
        True, seen.true_class_id, confidence, seen.true_xyxy, one.true_code, iou, matched
    )


def _boxes(one: ImageErrors) -> _Columns:
    seen, outcomes = one.seen, one.seen.outcomes
    matched = _of(outcomes.about, seen.true_class_id, np.int32(NOBODY))
    return _columns(
        False, seen.class_id, seen.confidence, seen.xyxy, outcomes.code, outcomes.iou, matched
    )


def _of(
    places: NDArray[np.int32], values: NDArray[np.generic], otherwise: np.generic
) -> NDArray[np.generic]:
    """The value at each place, and another where that is `NOBODY`."""
    found = np.full(len(places), otherwise)
    there = places != NOBODY
    found[there] = values[places[there]]
    return found


def _columns(
    truth: bool,
    class_id: NDArray[np.int32],
    confidence: NDArray[np.float32],
    xyxy: NDArray[np.float32],
    code: NDArray[np.int8],
    iou: NDArray[np.generic],
    matched: NDArray[np.generic],
) -> _Columns:
    return {
        "truth": np.full(len(code), truth),
        "class": class_id,
        "confidence": confidence,
        **{name: xyxy[:, place] for place, name in enumerate(_BOX)},
        "outcome": code.astype(np.int32),
        "iou": iou,
        "matched_class": matched,
    }

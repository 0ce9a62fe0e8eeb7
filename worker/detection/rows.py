"""Detections as rows of a table, and back.

A row is a detection: `frame` and `time_s` as in `Detections`; `x1`, `y1`, `x2`, `y2` in pixels of
the source frame; `confidence` and `class_id`. A frame in which nothing was seen is one row whose
last six are null, so that every frame the model looked at can be found again, with its time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from worker.detection.detections import Detections

_SCHEMA = pl.Schema(
    {
        "frame": pl.Int64,
        "time_s": pl.Float64,
        "x1": pl.Float32,
        "y1": pl.Float32,
        "x2": pl.Float32,
        "y2": pl.Float32,
        "confidence": pl.Float32,
        "class_id": pl.Int32,
    }
)


def to_rows(frames: list[Detections]) -> pl.DataFrame:
    """A row per detection, and one for each frame without any."""
    rows = np.array([max(1, len(detections)) for detections in frames])
    empty = np.repeat([len(detections) == 0 for detections in frames], rows)
    xyxy = np.zeros((len(empty), 4), np.float32)
    confidence = np.zeros(len(empty), np.float32)
    class_id = np.zeros(len(empty), np.int32)
    xyxy[~empty] = np.concatenate([detections.xyxy for detections in frames])
    confidence[~empty] = np.concatenate([detections.confidence for detections in frames])
    class_id[~empty] = np.concatenate([detections.class_id for detections in frames])
    seen = dict(zip(("x1", "y1", "x2", "y2"), xyxy.T, strict=True))
    seen |= {"confidence": confidence, "class_id": class_id}
    return pl.DataFrame(
        {
            "frame": np.repeat([detections.frame for detections in frames], rows),
            "time_s": np.repeat([detections.time_s for detections in frames], rows),
            **seen,
        },
        schema=_SCHEMA,
    ).with_columns(pl.when(pl.Series(~empty)).then(pl.col(*seen)))


def from_rows(table: pl.DataFrame, conf: np.float32) -> Iterator[Detections]:
    """Every frame that has a row, in order, with its detections above the confidence `conf`."""
    frame = table["frame"].to_numpy()
    time_s = table["time_s"].to_numpy()
    xyxy = table.select("x1", "y1", "x2", "y2").to_numpy()
    confidence = table["confidence"].to_numpy()  # NaN in the row of an empty frame: never above
    class_id = table["class_id"].fill_null(-1).to_numpy()
    for start, end in _runs(frame):
        rows = slice(start, end)
        yield Detections(
            int(frame[start]), float(time_s[start]), xyxy[rows], confidence[rows], class_id[rows]
        ).where(confidence[rows] > conf)


def _runs(values: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Where each run of equal values begins and ends."""
    edges = np.flatnonzero(np.diff(values)) + 1
    yield from zip((0, *edges.tolist()), (*edges.tolist(), len(values)), strict=True)

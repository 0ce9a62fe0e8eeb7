"""The trajectories of a job: one row per matched detection, in frame order, as Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl

from worker.row_file import RowFile
from worker.track_statistics import Observation

_SCHEMA = pl.Schema(
    {
        "track": pl.Int64,
        "frame": pl.Int64,
        "time_s": pl.Float64,
        "x1": pl.Float32,
        "y1": pl.Float32,
        "x2": pl.Float32,
        "y2": pl.Float32,
        "confidence": pl.Float32,
        "class": pl.String,
    }
)

# Some MB at a time: memory does not grow with the length of the video.
_ROWS_AT_ONCE = 50_000


class TrajectoryWriter(RowFile):
    """Writes the trajectories of one job to `path`, which appears when the `with` ends well.

    Columns: `track`, `frame` (from 0), `time_s`, `x1`, `y1`, `x2`, `y2` in pixels of the source
    frame, `confidence`, and `class`, that of the single detection: the track's own is voted.
    """

    def __init__(self, path: Path, class_names: Mapping[int, str]) -> None:
        super().__init__(path, _SCHEMA)
        self._class_names = class_names

    def record(self, observations: Iterable[Observation]) -> None:
        """Add observations that come after all those added before."""
        self.add(
            (
                one.track,
                one.frame,
                one.time_s,
                *one.xyxy,
                one.confidence,
                self._class_names[one.class_id],
            )
            for one in observations
        )


def read_frames(path: Path) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Frame by frame, in order, the rows of a trajectories file; frames without any are absent."""
    for frame, rows in groupby(_rows(path), key=itemgetter("frame")):
        yield frame, list(rows)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    table = pl.scan_parquet(path)
    offset = 0
    while True:
        batch = table.slice(offset, _ROWS_AT_ONCE).collect()
        if batch.is_empty():
            return
        yield from batch.iter_rows(named=True)
        offset += len(batch)

"""What the columns of reports hold, and how people read what is of no class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

ALL: Final = "(all)"
"""The mean over the classes, as people read it."""
BACKGROUND: Final = "(background)"
"""Where nothing is there, or nothing was seen, as people read it."""
# A class may have any name: to a program these are null.
_NO_CLASS: Final = {"class": ALL, "true_class": BACKGROUND, "predicted_class": BACKGROUND}


class ColumnType(StrEnum):
    """What the values of a column are."""

    TEXT = "text"
    WHOLE = "whole"
    REAL = "real"
    TIME = "time"


_TEXT = frozenset(
    {
        "base",
        "class",
        "dataset",
        "dataset_content",
        "device",
        "folder",
        "image",
        "kind",
        "learning_rates",
        "model",
        "predicted_class",
        "size",
        "split",
        "stage",
        "true_class",
        "video",
    }
)
_WHOLE = frozenset(
    {
        "batch",
        "best",
        "best_epoch",
        "classes",
        "count",
        "detections",
        "duration_frames",
        "epoch",
        "epochs",
        "epochs_run",
        "false_negatives",
        "false_positives",
        "first_frame",
        "found",
        "frames_decoded",
        "frames_inferred",
        "frames_missing",
        "frames_processed",
        "images",
        "imgsz",
        "instances",
        "job_id",
        "last_frame",
        "limited",
        "limited_frames",
        "long_tracks",
        "max_det",
        "max_duration_frames",
        "min_duration_frames",
        "missed",
        "model_version",
        "number",
        "parameters",
        "peak_simultaneous",
        "position",
        "rank",
        "short_tracks",
        "stopped_early",
        "track",
        "tracks",
        "true_positives",
        "unreadable",
    }
)
TIMES = frozenset({"ended_at", "evaluated_at"})


def column_type(name: str) -> ColumnType:
    """What the values of a column are; a name means the same in all reports."""
    if name in _TEXT:
        return ColumnType.TEXT
    if name in _WHOLE:
        return ColumnType.WHOLE
    return ColumnType.TIME if name in TIMES else ColumnType.REAL


def labelled(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows as people read them: what is of no class has a label."""
    return [
        [
            _NO_CLASS.get(name) if value is None else value
            for name, value in zip(columns, row, strict=True)
        ]
        for row in rows
    ]

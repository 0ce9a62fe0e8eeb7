"""What jobs found, as rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection

from db import job_records, reports
from db.dialect import reading
from db.errors import UsageError
from db.report_columns import ColumnType, column_type
from db.reports import Rows
from db.states import State
from producer.enqueue import database

ReportName = Literal["tracks", "counts", "models", "training", "evaluation", "errors", "detections"]


@dataclass(frozen=True, slots=True)
class _Parts:
    """The views that a report is made of.

    Attributes:
        rows: of the report itself.
        kinds: of the jobs that it is about; none for a report on all jobs.
        summaries: views of one row, shown before the rows.
        tables: views shown after them.
        curves: views that only a plot makes readable.
        folded: columns that a terminal has no room for.
        begun: whether a job that is not done has rows too.
    """

    rows: str
    kinds: tuple[str, ...] = ()
    summaries: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    curves: Mapping[str, str] = field(default_factory=dict)
    folded: frozenset[str] = frozenset()
    begun: bool = False


_PARTS: dict[str, _Parts] = {
    "tracks": _Parts(
        "track_report",
        ("track",),
        summaries={"totals": "track_totals", "quality": "track_quality"},
    ),
    "counts": _Parts("count_report", ("track",), summaries={"totals": "track_totals"}),
    "models": _Parts(
        "model_leaderboard",
        folded=frozenset({"best_confidence", "images", "device", "parameters"}),
    ),
    "training": _Parts(
        "training_curves",
        ("train",),
        summaries={"totals": "training_totals"},
        folded=frozenset(
            {
                "model",
                "model_version",
                "base",
                "dataset",
                "dataset_content",
                "learning_rates",
                "ended_at",
            }
        ),
        begun=True,
    ),
    "evaluation": _Parts(
        "evaluation_report",
        ("evaluate",),
        summaries={"totals": "evaluation_totals"},
        curves={"sweep": "confidence_sweep"},
    ),
    "errors": _Parts(
        "error_report",
        ("evaluate", "compare"),
        tables={"confusion": "confusion_report", "misses": "miss_report"},
        folded=frozenset({"position"}),
    ),
    "detections": _Parts(
        "detection_report", ("predict",), summaries={"totals": "prediction_totals"}
    ),
}

VIEWS = {name: parts.rows for name, parts in _PARTS.items()}
"""The view that each report's rows are."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report: its rows, and what belongs to them; frames are numbered from 0.

    Attributes:
        name: of the report.
        job_id: that it is about; None for one on all jobs.
        rows: its own.
        summaries: of one row each.
        tables: more rows, by what they are.
        curves: rows that only a plot makes readable.
        shown: the rows without the columns that a terminal has no room for.
    """

    name: str
    job_id: int | None
    rows: Rows
    summaries: dict[str, dict[str, Any]]
    tables: dict[str, Rows]
    curves: dict[str, Rows]
    shown: Rows

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON would hold it."""
        job = {} if self.job_id is None else {"job": self.job_id}
        more = {key: rows.dicts() for key, rows in (self.tables | self.curves).items()}
        own = self.rows.dicts()
        for row in own:
            if "learning_rates" in row:  # text in SQL, which has no lists
                row["learning_rates"] = json.loads(row["learning_rates"])
        return {**job, **self.summaries, self.name: own, **more}

    def write_parquet(self, path: Path) -> None:
        """Write the rows to a Parquet file."""
        self._frame().write_parquet(path)

    def csv(self) -> str:
        """The rows as CSV, with a header."""
        return str(self._frame().write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6f%:z"))

    def _frame(self) -> Any:
        import polars  # heavy, and only needed here

        types: dict[ColumnType, Any] = {
            ColumnType.TEXT: polars.String,
            ColumnType.WHOLE: polars.Int64,
            ColumnType.REAL: polars.Float64,
            ColumnType.TIME: polars.Datetime("us", "UTC"),
        }
        schema = {name: types[column_type(name)] for name in self.rows.columns}
        return polars.DataFrame(self.rows.rows, schema=schema, orient="row")


def report(name: ReportName, job_id: int | None = None) -> Report:
    """What jobs found.

    Args:
        name: `tracks`, a row per track, or `counts`, a row per class, of a `track` job; `models`,
            how all that were evaluated rank; `training`, a row per epoch; `evaluation`, a row per
            class; `errors`, a row per kind, of an evaluation or a comparison; `detections`, a row
            per box, of a `predict` job.
        job_id: the job; None for `models`.

    Raises:
        UsageError: there is no such report or job, or the job has no results.
    """
    if name not in _PARTS:
        raise UsageError(f"there is no report {name!r}: there are {', '.join(_PARTS)}")
    parts = _PARTS[name]
    with reading(database()) as tx:
        if not parts.kinds:
            return _made(name, None, parts, reports.run_for_all(tx, parts.rows))
        if job_id is None:
            raise UsageError(f"of which job are the {name} wanted? `nightshelf jobs list`")
        _refuse_other(tx, job_id, name, parts)
        found = reports.run(tx, parts.rows, job_id)
        if name == "errors" and not found.rows:
            raise UsageError(
                f"job {job_id} was measured before errors were: do it again, with --force"
            )
        return _made(
            name,
            job_id,
            parts,
            found,
            summaries={
                key: rows[0]
                for key, view in parts.summaries.items()
                if (rows := reports.run(tx, view, job_id).dicts())
            },
            tables={key: reports.run(tx, view, job_id) for key, view in parts.tables.items()},
            curves={key: reports.run(tx, view, job_id) for key, view in parts.curves.items()},
        )


def _refuse_other(tx: Connection, job_id: int, name: str, parts: _Parts) -> None:
    job = job_records.get(tx, job_id)
    if job.kind not in parts.kinds:
        raise UsageError(f"job {job_id} is of kind {job.kind}: it has no {name}")
    if job.state is not State.SUCCEEDED and not parts.begun:
        hint = f": {job.error}" if job.error else f" (`nightshelf jobs watch {job_id}`)"
        raise UsageError(f"job {job_id} has no results, it is {job.state}{hint}")


def _made(
    name: str,
    job_id: int | None,
    parts: _Parts,
    rows: Rows,
    summaries: dict[str, dict[str, Any]] | None = None,
    tables: dict[str, Rows] | None = None,
    curves: dict[str, Rows] | None = None,
) -> Report:
    kept = [place for place, name in enumerate(rows.columns) if name not in parts.folded]
    shown = Rows(
        tuple(rows.columns[place] for place in kept),
        tuple(tuple(row[place] for place in kept) for row in rows.rows),
    )
    return Report(name, job_id, rows, summaries or {}, tables or {}, curves or {}, shown)

"""What a job found, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from db import job_records, reports
from db.dialect import reading
from db.errors import UsageError
from db.reports import Rows
from db.states import State
from producer.enqueue import database

ReportName = Literal["tracks", "counts"]

# The rows of each report, and the one-row summaries that are shown with them.
_PARTS: dict[str, tuple[str, dict[str, str]]] = {
    "tracks": ("track_report", {"totals": "track_totals", "quality": "track_quality"}),
    "counts": ("count_report", {"totals": "track_totals"}),
}


@dataclass(frozen=True, slots=True)
class Report:
    """A report on one job: its rows, and what sums them up; frames are numbered from 0."""

    name: str
    job_id: int
    rows: Rows
    summaries: dict[str, dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON would hold it."""
        return {"job": self.job_id, **self.summaries, self.name: self.rows.dicts()}

    def write_parquet(self, path: Path) -> None:
        """Write the rows to a Parquet file."""
        self._frame().write_parquet(path)

    def csv(self) -> str:
        """The rows as CSV, with a header."""
        return str(self._frame().write_csv())

    def _frame(self) -> Any:
        import polars  # heavy, and only needed here

        return polars.DataFrame(
            self.rows.rows, schema=list(self.rows.columns), orient="row", infer_schema_length=None
        )


def report(name: ReportName, job_id: int) -> Report:
    """What a `track` job found: `tracks`, a row per track, or `counts`, a row per class.

    Raises:
        UsageError: there is no such report or job, or the job has no results.
    """
    if name not in _PARTS:
        raise UsageError(f"there is no report {name!r}: there are {', '.join(_PARTS)}")
    rows, summaries = _PARTS[name]
    with reading(database()) as tx:
        job = job_records.get(tx, job_id)
        if job.kind != "track":
            raise UsageError(f"job {job_id} is a {job.kind} job: it has no {name}")
        if job.state is not State.SUCCEEDED:
            hint = f": {job.error}" if job.error else f" (`nightshelf jobs watch {job_id}`)"
            raise UsageError(f"job {job_id} has no results, it is {job.state}{hint}")
        return Report(
            name,
            job_id,
            reports.run(tx, rows, job_id),
            {key: reports.run(tx, view, job_id).dicts()[0] for key, view in summaries.items()},
        )

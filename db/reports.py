"""Reports: named SQL files that exist as views too, so that a BI tool reads what we print."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sqlalchemy import Connection, text

from db.dialect import UtcDateTime
from db.report_columns import TIMES

NAMES = (
    "track_report",
    "track_totals",
    "count_report",
    "track_quality",
    "model_leaderboard",
    "training_curves",
    "training_totals",
    "evaluation_report",
    "evaluation_totals",
    "confidence_sweep",
    "error_report",
    "confusion_report",
    "miss_report",
    "detection_report",
    "prediction_totals",
)

# A comment that is no part of the description: a view has no order.
_ORDER = "-- Order:"


@dataclass(frozen=True, slots=True)
class Report:
    """A report: what it tells, the query behind it, and the order in which its rows are read."""

    name: str
    description: str
    sql: str
    order: str


@dataclass(frozen=True, slots=True)
class Rows:
    """What a report says: its columns, and the rows in order."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def dicts(self) -> list[dict[str, Any]]:
        """One dict per row, keys in the order of the columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@cache
def load(name: str) -> Report:
    """The report of this name, one of `NAMES`, from its file."""
    lines = (files("db") / "reports" / f"{name}.sql").read_text("utf-8").splitlines()
    comments = [line for line in lines if line.startswith("--")]
    said = [line.removeprefix("--").strip() for line in comments if not line.startswith(_ORDER)]
    orders = [line.removeprefix(_ORDER).strip() for line in comments if line.startswith(_ORDER)]
    sql = "\n".join(line for line in lines if not line.startswith("--")).strip().rstrip(";")
    return Report(name, " ".join(said), sql, orders[0] if orders else "2")


def run(tx: Connection, name: str, job_id: int) -> Rows:
    """What a report says of one job, without the column `job_id`, which is the same in each row."""
    found = _select(tx, name, "WHERE job_id = :job_id", job_id=job_id)
    assert found.columns[0] == "job_id", f"{name}.sql must give job_id first"
    return Rows(found.columns[1:], tuple(row[1:] for row in found.rows))


def run_for_all(tx: Connection, name: str) -> Rows:
    """What a report says of all jobs."""
    return _select(tx, name, "")


def _select(tx: Connection, name: str, where: str, **values: Any) -> Rows:
    found = load(name)
    query = f"SELECT * FROM ({found.sql}) AS report {where} ORDER BY {found.order}"  # noqa: S608
    # SQLite has no type for times.
    typed = text(query).columns(**dict.fromkeys(TIMES, UtcDateTime()))
    result = tx.execute(typed, values)
    return Rows(tuple(result.keys()), tuple(tuple(row) for row in result))

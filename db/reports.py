"""Reports: named SQL files that exist as views too, so that a BI tool reads what we print."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sqlalchemy import Connection, text

NAMES = ("track_report", "track_totals", "count_report", "track_quality")


@dataclass(frozen=True, slots=True)
class Report:
    """A report: what it tells, and the query behind it."""

    name: str
    description: str
    sql: str


@dataclass(frozen=True, slots=True)
class Rows:
    """What a report says of one job: its columns, and the rows in order."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def dicts(self) -> list[dict[str, Any]]:
        """One dict per row, keys in the order of the columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@cache
def load(name: str) -> Report:
    """The report of this name, one of `NAMES`, from its file."""
    lines = (files("db") / "reports" / f"{name}.sql").read_text("utf-8").splitlines()
    comment = [line.removeprefix("--").strip() for line in lines if line.startswith("--")]
    sql = "\n".join(line for line in lines if not line.startswith("--")).strip().rstrip(";")
    return Report(name, " ".join(comment), sql)


def run(tx: Connection, name: str, job_id: int) -> Rows:
    """What a report says of one job, without the column `job_id`, which is the same in each row."""
    result = tx.execute(
        text(f"SELECT * FROM ({load(name).sql}) AS report WHERE job_id = :job_id ORDER BY 2"),  # noqa: S608
        {"job_id": job_id},
    )
    columns = tuple(result.keys())
    assert columns[0] == "job_id", f"{name}.sql must give job_id first"
    return Rows(columns[1:], tuple(tuple(row)[1:] for row in result))

"""How commands speak to a terminal: tables and JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from db.job_records import Job, OutputFile
from db.report_columns import labelled
from db.settings import settings
from db.specs import Priority

if TYPE_CHECKING:
    from producer.enqueue import Enqueued
    from producer.job_control import JobDetails
    from producer.reporting import Report

# Names of files are printed as they are, whatever brackets and colons they hold.
_PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
# A pipe has no width: what is read by a program must not be folded.
stdout = Console(width=None if sys.stdout.isatty() else 10_000, **_PLAIN)
stderr = Console(stderr=True, **_PLAIN)

_NOTHING = "-"
_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
}


def print_json(value: Any) -> None:
    """Print a value as one JSON document; times in ISO 8601."""
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False))


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def job_dict(job: Job) -> dict[str, Any]:
    """A job as a script reads it: no lease token, and the priority by name."""
    values = asdict(job)
    del values["lease_token"]
    return values | {"priority": Priority(job.priority).name.lower()}


def print_enqueued(one: Enqueued, name: str) -> None:
    """One line for a job that was asked for."""
    if one.new:
        state = "queued"
    elif one.job.over:
        state = "already done"
    else:
        state = f"already {one.job.state}"
    typer.echo(f"job {one.job.id}  {name}  {state}")


def print_broker_away(reason: str) -> None:
    """Say that nothing is lost although no message could be sent."""
    from db.settings import settings

    cure = "start `nightshelf up`" if settings().embedded_broker else "check NIGHTSHELF_BROKER_URL"
    typer.echo(
        f"nightshelf: {reason} ({cure}). The jobs are recorded, and start when it is back.",
        err=True,
    )


def print_report(report: Report) -> None:
    """Print what sums a report up, its rows, and the tables that belong to it."""
    for title, values in report.summaries.items():
        print_table((title, ""), values.items())
        typer.echo()
    print_table(report.shown.columns, labelled(report.shown.columns, report.shown.rows))
    for title, rows in report.tables.items():
        if not rows.rows:
            continue  # such as those that only an evaluation has, and no comparison
        print_table(rows.columns, labelled(rows.columns, rows.rows), title=f"\n{title}")


def print_details(details: JobDetails) -> None:
    """Print a job with its attempts, children and files."""
    values = job_dict(details.job)
    spec = values.pop("spec")
    print_table(("job", ""), [(key, value) for key, value in values.items() if value])
    typer.echo()
    print_table(("spec", ""), spec.items())
    columns = ("attempt", "outcome", "worker", "started_at", "ended_at", "error")
    rows = [[getattr(one, column) for column in columns] for one in details.attempts]
    print_table(columns, rows, title="\nattempts")
    for one in details.attempts:
        if one.traceback:
            typer.echo(f"\nattempt {one.attempt}:\n{one.traceback.rstrip()}")
    if details.children:
        rows = [[one.id, str(one.state), one.label, one.attempt] for one in details.children]
        print_table(("child", "state", "label", "attempt"), rows, title="\nchildren")
    if details.files:
        typer.echo()
        print_files(details.files)


def found_dict(found: Any) -> dict[str, Any]:
    """What a job found, a dataclass with its `job_id`, as JSON has it: with where its files are."""
    from producer.job_control import job

    files = job(found.job_id).files if found.job_id else []
    return asdict(found) | {"files": file_dicts(files)}


def file_dicts(files: Iterable[OutputFile]) -> list[dict[str, Any]]:
    """Files that a job left behind, as JSON has them, with where they are."""
    return [asdict(one) | {"location": settings().located(one.address)} for one in files]


def print_files(files: Iterable[OutputFile]) -> None:
    """Print where the files are that a job left behind."""
    rows = [[settings().located(one.address), one.size_bytes] for one in files]
    print_table(("file", "bytes"), rows, title="files")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None
) -> None:
    """Print rows under their column names: numbers to the right, as they are read."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    rows = list(rows)
    cells = [[as_text(value) for value in row] for row in rows]
    values = list(zip(*cells, strict=True)) if cells else []
    for position, column in enumerate(columns):
        numeric = bool(values) and all(_is_number(cell.plain) for cell in values[position])
        # Where the terminal is narrow, words are folded and numbers and times are not.
        whole = numeric or any(isinstance(row[position], datetime) for row in rows)
        # Names are those of SQL; a terminal has them on two lines, to be narrow.
        name = column.replace("_", "\n", 1) if stdout.is_terminal else column
        table.add_column(
            name, justify="right" if numeric else "left", overflow="fold", no_wrap=whole
        )
    for cell in cells:
        table.add_row(*cell)
    stdout.print(table)


def as_text(value: Any) -> Text:
    """A value as a table shows it."""
    if value is None:
        return Text(_NOTHING)
    if isinstance(value, float):
        return Text(f"{value:.3f}")
    if isinstance(value, datetime):
        return Text(value.astimezone().strftime("%Y-%m-%d %H:%M"))
    text = str(value)
    return Text(text, style=_COLOURS.get(text, ""))


def _is_number(text: str) -> bool:
    return text == _NOTHING or text.replace(".", "", 1).replace("-", "", 1).isdigit()

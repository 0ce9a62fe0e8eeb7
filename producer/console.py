"""How commands speak to a terminal: tables, progress, JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from db.job_records import Job, OutputFile
from db.settings import settings
from db.specs import Priority
from db.states import State

if TYPE_CHECKING:
    from producer.enqueue import Enqueued
    from producer.follow import Sight
    from producer.job_control import JobDetails
    from producer.reporting import Report

# Names of files are printed as they are, whatever brackets and colons they hold.
_PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
# A pipe has no width: what is read by a program must not be folded.
stdout = Console(width=None if sys.stdout.isatty() else 10_000, **_PLAIN)
stderr = Console(stderr=True, **_PLAIN)

_NOTHING = "-"
# Which states are shown where there is no room for all jobs: the first ones first.
_WORTH_SEEING = (
    State.RUNNING,
    State.WAITING,
    State.FAILED,
    State.CANCELLED,
    State.QUEUED,
    State.SUCCEEDED,
)
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
    print_table(report.shown.columns, report.shown.rows)
    for title, rows in report.tables.items():
        if not rows.rows:
            continue  # such as those that only an evaluation has, and no comparison
        print_table(rows.columns, rows.rows, title=f"\n{title}")


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
    cells = [[_cell(value) for value in row] for row in rows]
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


def _cell(value: Any) -> Text:
    if value is None:
        return Text(_NOTHING)
    if isinstance(value, float):
        return Text(f"{value:.3f}")
    if isinstance(value, datetime):
        return Text(value.astimezone().strftime("%Y-%m-%d %H:%M"))
    text = str(value)
    return Text(text, style=_COLOURS.get(text, ""))


def _is_number(cell: str) -> bool:
    return cell == _NOTHING or cell.replace(".", "", 1).replace("-", "", 1).isdigit()


@contextmanager
def reading_progress(paths_total_bytes: int) -> Iterator[Any]:
    """A progress bar over bytes read, shown where there are enough of them to wait for.

    Where an error or Ctrl-C ends the reading, the notes on it (what is done all the same) are
    printed.
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    # Of the files before this one, and of this one.
    done_before, path_now, done_now = 0, None, 0
    try:
        with Progress(
            *columns, console=stderr, transient=True, disable=not stderr.is_terminal
        ) as bar:
            task = bar.add_task("reading", total=paths_total_bytes)

            def advance(path: Path, done: int) -> None:
                nonlocal done_before, path_now, done_now
                if path != path_now:
                    done_before, path_now = done_before + done_now, path
                done_now = done
                bar.update(task, completed=done_before + done_now, description=path.name)

            yield advance
    except BaseException as error:
        for note in getattr(error, "__notes__", ()):
            typer.echo(f"nightshelf: {note}", err=True)
        raise


@contextmanager
def image_progress() -> Iterator[Callable[[int, int], None]]:
    """A progress bar over images read; to be called with how many, and of how many."""
    from rich.progress import Progress

    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("reading images", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def follow(job_ids: Sequence[int], *, as_json: bool = False) -> list[Job]:
    """Show how jobs go until they are over; returns them.

    On a terminal a table that redraws itself; elsewhere a line whenever something changed.
    """
    from producer.follow import watch

    if as_json or not stdout.is_terminal:
        return _follow_in_lines(job_ids, as_json)
    from rich.live import Live

    jobs: list[Job] = []
    with Live(console=stdout, refresh_per_second=8) as live:
        for sights in watch(job_ids):
            live.update(_sights_table(sights))
            jobs = [sight.job for sight in sights]
    return jobs


def _follow_in_lines(job_ids: Sequence[int], as_json: bool) -> list[Job]:
    from producer.follow import watch

    jobs: list[Job] = []
    told: dict[int, tuple[Any, ...]] = {}
    for sights in watch(job_ids, every_s=1.0):
        jobs = [sight.job for sight in sights]
        for sight in sights:
            job = sight.job
            # Every tenth of a job is news, not every frame.
            tenth = int(10 * job.progress_done / job.progress_total) if job.progress_total else 0
            news = (job.state, job.attempt, job.progress_done if as_json else tenth)
            if told.get(job.id) == news:
                continue
            told[job.id] = news
            if as_json:
                print_json(job_dict(job) | {"per_s": sight.per_s, "left_s": sight.left_s})
            else:
                typer.echo(f"job {job.id}  {job.state}  {job.label}  {describe_progress(sight)}")
            sys.stdout.flush()
    return jobs


def describe_progress(sight: Sight) -> str:
    """How far a job is, in words: `312/1189 frames, 14.2/s, 1:02 left`."""
    job = sight.job
    if job.error and job.state in ("failed", "queued"):
        return job.error if job.state == "failed" else f"to be tried again: {job.error}"
    if job.state == "queued":
        return "waits for a worker"
    if not job.progress_done:
        return (job.progress_note or "") if job.state == "running" else ""
    unit = f" {job.progress_unit}" if job.progress_unit else ""
    total = f"/{job.progress_total:g}" if job.progress_total else ""
    words = [f"{job.progress_done:.0f}{total}{unit}"]
    if job.state == "running":
        if sight.per_s:
            words.append(f"{sight.per_s:.1f}/s")
        if sight.left_s is not None:
            words.append(f"{int(sight.left_s) // 60}:{int(sight.left_s) % 60:02d} left")
        if job.progress_note:
            words.append(job.progress_note)
    return ", ".join(words)


def _sights_table(sights: Sequence[Sight]) -> Table:
    """All jobs, or those that fit the screen with a line that counts them."""
    from rich.progress_bar import ProgressBar

    room = stdout.height - 2
    shown = sights
    if len(sights) > room:
        shown = sorted(sights, key=lambda sight: _WORTH_SEEING.index(sight.job.state))[:room]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for sight in shown:
        job = sight.job
        done = job.progress_total if job.state == "succeeded" else job.progress_done
        table.add_row(
            str(job.id),
            _cell(str(job.state)),
            job.label,
            ProgressBar(total=job.progress_total or 1.0, completed=done or 0.0, width=24),
            describe_progress(sight),
        )
    if len(sights) > room:
        counts = Counter(sight.job.state for sight in sights)
        words = [f"{counts[state]} {state}" for state in State if counts[state]]
        table.caption, table.caption_justify = ", ".join(words), "left"
    return table

"""How commands show what goes on: bars while files are read, and jobs until they are over."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from db.job_records import Job
from db.states import State
from producer.console import as_text, job_dict, print_json, stderr, stdout

if TYPE_CHECKING:
    from producer.follow import Sight

# Which states are shown where there is no room for all jobs: the first ones first.
_WORTH_SEEING = (
    State.RUNNING,
    State.WAITING,
    State.FAILED,
    State.CANCELLED,
    State.QUEUED,
    State.SUCCEEDED,
)


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
            as_text(str(job.state)),
            job.label,
            ProgressBar(total=job.progress_total or 1.0, completed=done or 0.0, width=24),
            describe_progress(sight),
        )
    if len(sights) > room:
        counts = Counter(sight.job.state for sight in sights)
        words = [f"{counts[state]} {state}" for state in State if counts[state]]
        table.caption, table.caption_justify = ", ".join(words), "left"
    return table

"""What every command with `--wait` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from producer import console
from producer.exit_codes import ExitCode

if TYPE_CHECKING:
    from producer.enqueue import Enqueued


def tell_or_wait(
    enqueued: Enqueued, *, wait: bool, as_json: bool, failed: int = ExitCode.JOB_NOT_SUCCEEDED
) -> None:
    """Say that a job was enqueued, and end the command; with `wait`, go on once it succeeded."""
    if enqueued.broker_away:
        console.print_broker_away(enqueued.broker_away)
    if wait:
        wait_and_exit([enqueued.job.id], quiet=as_json, failed=failed)
        return
    if as_json:
        console.print_json(console.job_dict(enqueued.job) | {"new": enqueued.new})
    else:
        console.print_enqueued(enqueued, enqueued.job.label)
    raise typer.Exit(ExitCode.OK)


def wait_and_exit(
    job_ids: Sequence[int],
    *,
    as_json: bool = False,
    quiet: bool = False,
    failed: int = ExitCode.JOB_NOT_SUCCEEDED,
    interrupted: str | None = None,
) -> None:
    """Follow jobs until they are over; ends the command, as `failed`, unless all succeeded.

    Ctrl-C ends the waiting and not the jobs, which is said, or what `interrupted` says instead.
    """
    try:
        if quiet:
            from producer.follow import wait

            jobs = wait(job_ids)
        else:
            from producer.progress import follow

            jobs = follow(job_ids, as_json=as_json)
    except KeyboardInterrupt:
        ids = " ".join(map(str, job_ids))
        goes_on = f"The jobs go on. See them again: nightshelf jobs watch {ids}".rstrip()
        console.stderr.print(interrupted or goes_on)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    bad = [job for job in jobs if job.state != "succeeded"]
    for job in bad:
        reason = f": {job.error}" if job.error else ""
        typer.echo(f"nightshelf: job {job.id} ({job.label}) ended as {job.state}{reason}", err=True)
    if bad:
        raise typer.Exit(failed)

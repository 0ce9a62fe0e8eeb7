"""What every command with `--wait` does."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from producer import console
from producer.exit_codes import ExitCode


def wait_and_exit(
    job_ids: Sequence[int],
    *,
    as_json: bool = False,
    quiet: bool = False,
    failed: int = ExitCode.JOB_NOT_SUCCEEDED,
) -> None:
    """Follow jobs until they are over; ends the command, as `failed`, unless all succeeded.

    Ctrl-C ends the waiting and not the jobs.
    """
    try:
        if quiet:
            from producer.follow import wait

            jobs = wait(job_ids)
        else:
            jobs = console.follow(job_ids, as_json=as_json)
    except KeyboardInterrupt:
        ids = " ".join(map(str, job_ids))
        console.stderr.print(
            f"The jobs go on. See them again: nightshelf jobs watch {ids}".rstrip()
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    bad = [job for job in jobs if job.state != "succeeded"]
    for job in bad:
        reason = f": {job.error}" if job.error else ""
        typer.echo(f"nightshelf: job {job.id} ({job.label}) ended as {job.state}{reason}", err=True)
    if bad:
        raise typer.Exit(failed)

"""`nightshelf jobs`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from db.states import State

app = typer.Typer(help="Jobs: what waits, runs, and has ended.", no_args_is_help=True)

JobId = Annotated[int, typer.Argument(help="The job's number.", metavar="JOB")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command("list")
def list_(
    state: Annotated[
        list[State] | None, typer.Option(help="Only jobs in this state; may be repeated.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only jobs of this kind; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    as_json: Json = False,
) -> None:
    """List jobs, the newest first.

    Example: `nightshelf jobs list --state failed --json`
    """
    from producer import console
    from producer.follow import Sight
    from producer.job_control import jobs
    from producer.progress import describe_progress

    found = jobs(states=state or (), kinds=kind or (), limit=limit)
    if as_json:
        console.print_json([console.job_dict(job) for job in found])
        return
    console.print_table(
        ("job", "state", "kind", "label", "attempt", "created", "progress"),
        [
            (
                job.id,
                str(job.state),
                job.kind,
                job.label,
                job.attempt,
                job.created_at,
                describe_progress(Sight(job)),
            )
            for job in found
        ],
    )


@app.command()
def show(job_id: JobId, as_json: Json = False) -> None:
    """Show one job: what was asked, every attempt with its traceback, and the files it left."""
    from producer import console
    from producer.job_control import job

    details = job(job_id)
    if as_json:
        console.print_json(
            console.job_dict(details.job)
            | {
                "attempts": [asdict(one) for one in details.attempts],
                "children": [console.job_dict(one) for one in details.children],
                "files": console.file_dicts(details.files),
            }
        )
        return
    console.print_details(details)


@app.command()
def watch(
    job_ids: Annotated[
        list[int] | None, typer.Argument(help="Jobs; all that wait or run if none is given.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON line whenever a job changed.")
    ] = False,
) -> None:
    """Watch jobs until they are over: frames done, frames a second, time left.

    Ends with 3 if one of them did not succeed.
    """
    from producer.commands.waiting import wait_and_exit

    wait_and_exit(job_ids or [], as_json=as_json)


@app.command()
def cancel(job_id: JobId, as_json: Json = False) -> None:
    """Cancel a job: at once if no worker has it, else at its next checkpoint.

    Flower's `terminate` does nothing here: this does.
    """
    from producer import console
    from producer.job_control import cancel as cancel_job

    told = cancel_job(job_id)
    if as_json:
        console.print_json(console.job_dict(told))
    elif told.over:
        typer.echo(f"job {job_id} is cancelled")
    else:
        typer.echo(f"job {job_id} was told to stop: nightshelf jobs watch {job_id}")


@app.command()
def retry(job_id: JobId, as_json: Json = False) -> None:
    """Queue a failed or cancelled job again, with a full number of attempts."""
    from producer import console
    from producer.job_control import retry as retry_job

    queued = retry_job(job_id)
    if as_json:
        console.print_json(console.job_dict(queued))
    else:
        typer.echo(f"job {job_id} is {queued.state}: nightshelf jobs watch {job_id}")

"""`nightshelf dataset`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from producer.commands.options import AsJson, DataArgument, Force, Wait
from producer.exit_codes import DatasetExitCode

if TYPE_CHECKING:
    from producer.dataset_checks import Dataset

app = typer.Typer(help="Data sets of labelled images.", no_args_is_help=True)


@app.command()
def check(
    data: DataArgument,
    name: Annotated[
        str | None, typer.Option(help="What to call it. Default: the file's or folder's name.")
    ] = None,
    force: Force = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Check a data set: what is in it, what is wrong with it; its files are left as they are.

    With `--wait` the exit code is 0 if it is clean, 3 with warnings, 4 with errors that make
    training wrong, and 1 if it could not be checked.

    Example: `nightshelf dataset check fruit/data.yaml --wait`
    """
    from producer import console
    from producer.commands.waiting import tell_or_wait
    from producer.dataset_checks import check_dataset, checked_by
    from producer.progress import image_progress

    with image_progress() as on_read:
        enqueued = check_dataset(data, name, force=force, on_read=on_read)
    tell_or_wait(enqueued, wait=wait, as_json=as_json, failed=DatasetExitCode.NOT_CHECKED)
    found = checked_by(enqueued.job.id)
    if as_json:
        console.print_json(console.found_dict(found))
    else:
        _print(found)
    raise typer.Exit(DatasetExitCode.of(found.worst))


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list.")] = False,
) -> None:
    """List the data sets that were checked, the newest content of each name first."""
    from producer import console
    from producer.dataset_checks import datasets

    found = datasets()
    if as_json:
        console.print_json([asdict(one) for one in found])
        return
    console.print_table(
        ("name", "content", "images", "instances", "classes", "worst", "checked_at"),
        [
            (
                one.name,
                one.sha256[:12],
                sum(split["images"] for split in one.splits),
                sum(split["instances"] for split in one.splits),
                len({row["class_id"] for row in one.classes}),
                one.worst or ("clean" if one.checked_at else "not checked"),
                one.checked_at,
            )
            for one in found
        ],
    )


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(help="Name of a checked data set, or 8 digits or more of its content."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show what a check found."""
    from producer import console
    from producer.dataset_checks import dataset

    found = dataset(name)
    if as_json:
        console.print_json(console.found_dict(found))
    else:
        _print(found)


def _print(found: Dataset) -> None:
    from producer import console
    from producer.job_control import job

    typer.echo(f"\n{found.name}: {found.address}, content {found.sha256[:12]}\n")
    if found.job_id is None:
        typer.echo(f"It was not checked: nightshelf dataset check {found.address}")
        return
    console.print_table(tuple(found.splits[0]), [tuple(one.values()) for one in found.splits])
    typer.echo()
    columns = ("split", "class", "instances", "images")
    console.print_table(columns, [[row[name] for name in columns] for row in found.classes])
    typer.echo()
    if found.findings:
        console.print_table(
            ("severity", "what", "split", "count", "for example"),
            [
                (one["severity"], one["kind"], one["split"], count, example)
                for one in found.findings
                for count, example in _lines(one)
            ],
        )
    else:
        typer.echo("Nothing is wrong with it.")
    typer.echo()
    console.print_files(job(found.job_id).files)


def _lines(finding: dict[str, Any]) -> list[tuple[int, str]]:
    """Count and example, a line each: one of a kind is like another, but not one repair."""
    examples = finding["examples"]
    if finding["kind"] == "repaired":
        return [(1, repair) for repair in examples]
    return [(finding["count"], examples[0])]

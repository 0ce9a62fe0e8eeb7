"""`nightshelf models`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from db.states import Stage

if TYPE_CHECKING:
    from producer.registry import Model

app = typer.Typer(
    help="Registered models: NAME means its production version, NAME@VERSION exactly that one.",
    no_args_is_help=True,
)

Reference = Annotated[str, typer.Argument(help="NAME, or NAME@VERSION.", metavar="MODEL")]
Exactly = Annotated[str, typer.Argument(help="NAME@VERSION.", metavar="MODEL")]
Why = Annotated[str, typer.Option(help="The reason, for those who ask later.")]


@app.command()
def add(
    weights: Annotated[str, typer.Argument(help="A YOLOv8 detection checkpoint (.pt).")],
    name: Annotated[str, typer.Option(help="The name to use it by.")],
    as_json: Annotated[bool, typer.Option("--json", help="The model as JSON.")] = False,
) -> None:
    """Register a YOLOv8 checkpoint by its content; a worker opens it, and says what it is.

    The first under a name is its production version; each that follows is a candidate.

    Example: `nightshelf models add yolov8n.pt --name coco`
    """
    from producer import console
    from producer.commands.waiting import wait_and_exit
    from producer.registry import add_model, models

    enqueued = add_model(weights, name)
    if enqueued.broker_away:
        console.print_broker_away(enqueued.broker_away)
    wait_and_exit([enqueued.job.id], quiet=as_json or not enqueued.new)
    content = enqueued.job.spec["weights_sha256"]
    registered = next(one for one in models() if one.sha256 == content)
    if as_json:
        console.print_json(model_dict(registered))
        return
    known = "" if enqueued.new else " already"
    typer.echo(
        f"{registered.reference} is registered{known} ({registered.stage}): "
        f"{registered.architecture}, {len(registered.classes)} classes, "
        f"{registered.parameters:,} parameters, sha256 {registered.sha256[:12]}"
    )
    if registered.stage is Stage.CANDIDATE:
        typer.echo(
            f"{name} still means the version in production: "
            f"`nightshelf models promote {registered.reference} --why …`"
        )


def model_dict(one: Model) -> dict[str, Any]:
    """A model as a script reads it."""
    values = asdict(one)
    del values["id"]
    return values | {"stage": str(one.stage), "reference": one.reference}


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list.")] = False,
) -> None:
    """List the registered models."""
    from producer import console
    from producer.registry import models

    found = models()
    if as_json:
        console.print_json([model_dict(one) for one in found])
        return
    console.print_table(
        (
            "model",
            "stage",
            "architecture",
            "classes",
            "parameters",
            "size_mb",
            "sha256",
            "added_at",
        ),
        [
            (
                one.reference,
                str(one.stage),
                one.architecture,
                len(one.classes),
                one.parameters,
                f"{one.size_bytes / 1e6:.1f}",
                one.sha256[:12],
                one.added_at,
            )
            for one in found
        ],
    )


@app.command()
def show(
    reference: Reference,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show one model: its classes, and who changed its stage, when and why."""
    from producer import console
    from producer.promotion import stage_changes
    from producer.registry import model

    values = model_dict(model(reference))
    changes = [asdict(one) | {"stage": str(one.stage)} for one in stage_changes(reference)]
    if as_json:
        console.print_json(values | {"stages": changes})
        return
    classes = ", ".join(f"{number} {one}" for number, one in enumerate(values.pop("classes")))
    console.print_table(("", ""), [*values.items(), ("classes", classes)])
    columns = ("stage", "changed_at", "changed_by", "why", "job_id")
    rows = [[one[column] for column in columns] for one in changes]
    console.print_table(columns, rows, title="\nstages")


@app.command()
def retire(reference: Exactly, why: Why) -> None:
    """Take a version out of use. Jobs that are queued with it run all the same.

    Example: `nightshelf models retire fruit@2 --why "mixes up limes and lemons"`
    """
    from producer.promotion import retire as retire_model

    retired = retire_model(reference, why=why)
    typer.echo(f"{retired.reference} is retired")

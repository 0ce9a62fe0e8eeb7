"""`nightshelf models`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

app = typer.Typer(help="Registered models.", no_args_is_help=True)


@app.command()
def add(
    weights: Annotated[str, typer.Argument(help="A YOLOv8 detection checkpoint (.pt).")],
    name: Annotated[str, typer.Option(help="The name to use it by.")],
    as_json: Annotated[bool, typer.Option("--json", help="The model as JSON.")] = False,
) -> None:
    """Register a YOLOv8 checkpoint by its content; a worker opens it, and says what it is.

    Example: `nightshelf models add yolov8n.pt --name coco`
    """
    from producer import console
    from producer.commands.waiting import wait_and_exit
    from producer.registry import add_model, model

    enqueued = add_model(weights, name)
    if enqueued.broker_away:
        console.print_broker_away(enqueued.broker_away)
    wait_and_exit([enqueued.job.id], quiet=as_json or not enqueued.new)
    registered = model(name)
    if as_json:
        console.print_json(asdict(registered))
        return
    known = "" if enqueued.new else " already"
    typer.echo(
        f"{name} is registered{known}: {registered.architecture}, "
        f"{len(registered.classes)} classes, {registered.parameters:,} parameters, "
        f"sha256 {registered.sha256[:12]}"
    )


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list.")] = False,
) -> None:
    """List the registered models."""
    from producer import console
    from producer.registry import models

    found = models()
    if as_json:
        console.print_json([asdict(one) for one in found])
        return
    console.print_table(
        ("name", "architecture", "classes", "parameters", "size_mb", "sha256", "added_at"),
        [
            (
                one.name,
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
    name: Annotated[str, typer.Argument(help="Name of a registered model.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show one model, its classes among the rest."""
    from producer import console
    from producer.registry import model

    values = asdict(model(name))
    if as_json:
        console.print_json(values)
        return
    classes = ", ".join(f"{number} {one}" for number, one in enumerate(values.pop("classes")))
    console.print_table(("", ""), [*values.items(), ("classes", classes)])

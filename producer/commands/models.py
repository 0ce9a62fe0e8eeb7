"""`nightshelf models`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from db.states import Stage
from producer.commands.options import Split

if TYPE_CHECKING:
    from producer.registry import Model

app = typer.Typer(
    help="Registered models: NAME means its production version, NAME@VERSION exactly that one.",
    no_args_is_help=True,
)

_GATE = "Only if it is better"


class MetricName(StrEnum):
    """The metrics that can decide a promotion."""

    MAP50 = "map50"
    MAP50_95 = "map50_95"


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
    from producer.registry import add_model, known_content

    enqueued = add_model(weights, name)
    if enqueued.broker_away:
        console.print_broker_away(enqueued.broker_away)
    wait_and_exit([enqueued.job.id], quiet=as_json or not enqueued.new)
    registered = known_content(enqueued.job.spec["weights_sha256"])
    assert registered is not None, "the job that registers it has succeeded"
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
def promote(
    reference: Exactly,
    why: Annotated[str | None, typer.Option(help="The reason, for those who ask later.")] = None,
    if_better_than: Annotated[
        str | None,
        typer.Option(
            metavar="production|MODEL",
            help="Compare with this first, and promote only what is shown to be better.",
            rich_help_panel=_GATE,
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(help="The data set's YAML file to compare on.", rich_help_panel=_GATE),
    ] = None,
    metric: Annotated[
        MetricName,
        typer.Option("--by", help="The metric that decides.", rich_help_panel=_GATE),
    ] = MetricName.MAP50_95,
    split: Annotated[
        Split, typer.Option(help="On which of its images.", rich_help_panel=_GATE)
    ] = Split.VAL,
    imgsz: Annotated[
        int, typer.Option(help="Inference size in pixels.", rich_help_panel=_GATE)
    ] = 640,
    device: Annotated[
        str | None,
        typer.Option(help="`cpu`, `cuda:0`. Default: the worker's own.", rich_help_panel=_GATE),
    ] = None,
) -> None:
    """Put a version into production: from now on its name means it; the one before is retired.

    Examples:

    `nightshelf models promote fruit@2 --why "fewer misses at night"`

    `nightshelf models promote fruit@2 --if-better-than production --on fruit/data.yaml`
    """
    from db.errors import UsageError
    from producer.promotion import promote as promote_model

    if if_better_than is None:
        if why is None:
            raise UsageError("a promotion needs its reason, --why, or --if-better-than with --on")
        promoted = promote_model(reference, why=why)
    elif on is None or why is not None:
        raise UsageError("--if-better-than needs --on DATA.yaml, and gives the reason itself")
    else:
        promoted = _promote_after_comparison(
            reference, if_better_than, on, metric, split=split.value, imgsz=imgsz, device=device
        )
    typer.echo(f"{promoted.reference} is in production: {promoted.name} means it from now on")


def _promote_after_comparison(
    reference: str, base: str, data: str, metric: MetricName, **arguments: Any
) -> Model:
    from db.errors import UsageError
    from producer import console
    from producer.commands.waiting import wait_and_exit
    from producer.comparing import compare
    from producer.progress import image_progress
    from producer.promotion import last_stage_change, promote_if_better
    from producer.registry import model

    if model(reference).stage == "production":
        raise UsageError(f"{reference} is in production already")
    name = reference.partition("@")[0]
    since = last_stage_change(name)
    if base == "production":
        base = name
    with image_progress() as on_read:
        enqueued = compare(base, [reference], data, on_read=on_read, **arguments)
    if enqueued.broker_away:
        console.print_broker_away(enqueued.broker_away)
    wait_and_exit(
        [enqueued.job.id],
        interrupted=f"Nothing was promoted. Job {enqueued.job.id} goes on: the same command again "
        "promotes by what it finds",
    )
    return promote_if_better(enqueued.job.id, metric=metric.value, since=since)


@app.command()
def lineage(
    reference: Reference,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show what a model was trained from, on what and by which code, back to what was added.

    Example: `nightshelf models lineage fruit`
    """
    from producer import console
    from producer.ancestry import lineage as find_lineage

    found = find_lineage(reference)
    if as_json:
        console.print_json(
            [
                {"model": model_dict(one.model), "made": one.made and asdict(one.made)}
                for one in found
            ]
        )
        return
    rows = []
    for one in found:
        row: list[Any] = [one.model.reference, str(one.model.stage), one.model.sha256[:12]]
        if one.made is None:
            rows.append([*row, one.model.job_id, one.model.source, None, None, None])
            continue
        code = ", ".join(f"{name} {version}" for name, version in one.made.versions.items())
        on = f"{one.made.dataset} ({one.made.dataset_sha256[:12]})"
        epochs = f"{one.made.best_epoch} of {one.made.last_epoch}"
        rows.append([*row, one.made.job_id, one.made.base, on, epochs, code])
    columns = ("model", "stage", "sha256", "job_id", "made_from", "trained_on", "epoch", "code")
    console.print_table(columns, rows)


@app.command()
def retire(reference: Exactly, why: Why) -> None:
    """Take a version out of use. Jobs that are queued with it run all the same.

    Example: `nightshelf models retire fruit@2 --why "mixes up limes and lemons"`
    """
    from producer.promotion import retire as retire_model

    retired = retire_model(reference, why=why)
    typer.echo(f"{retired.reference} is retired")

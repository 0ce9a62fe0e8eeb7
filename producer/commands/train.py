"""`nightshelf train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from producer.commands.options import AsJson, DataArgument, Force, Wait

if TYPE_CHECKING:
    from producer.trainings import Training

_EPOCH = (
    *("epoch", "box_loss", "cls_loss", "dfl_loss"),
    *("precision", "recall", "map50", "map50_95", "seconds"),
)
_SUMMARY = ("base", "device", "batch", "epochs_run", "best_epoch", "stopped_early", "seconds")


def train(
    data: DataArgument,
    base: Annotated[
        str,
        typer.Option(
            help="What it begins with: a registered model (`fruit`, `fruit@3`), a .pt file, or "
            "`yolov8s.yaml` from scratch."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            help="Of which the new model becomes the next version, a candidate. Default: that of "
            "the registered model that it begins with."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Default: 100.")] = None,
    imgsz: Annotated[
        int | None, typer.Option(help="Image size in pixels, a multiple of 32. Default: 640.")
    ] = None,
    batch: Annotated[
        str | None, typer.Option(help="Images at once, or `auto` on a GPU. Default: 16.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Stop after so many epochs without a better one; 0: never. Default: 100."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Default: 0.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Another of Ultralytics' arguments, such as `lr0=0.001`. Can be given again.",
        ),
    ] = None,
    extend: Annotated[
        int | None,
        typer.Option(help="Go on with the training that made `--base`, for so many epochs more."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="`cpu`, `cuda:0`, several as `0,1`. Default: the worker's own."),
    ] = None,
    force: Force = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Train a model on a data set, with Ultralytics' own trainer and arguments.

    A training that is cut off goes on after its last whole epoch, on any worker.

    Example: `nightshelf train fruit/data.yaml --base yolov8n.pt --name fruit --epochs 30 --wait`
    """
    from producer import console
    from producer.commands.waiting import tell_or_wait
    from producer.progress import image_progress
    from producer.trainings import train as enqueue_training
    from producer.trainings import training

    with image_progress() as on_read:
        enqueued = enqueue_training(
            data,
            base,
            name,
            epochs=epochs,
            imgsz=imgsz,
            batch=int(batch) if batch and batch.lstrip("-").isdigit() else batch,
            patience=patience,
            seed=seed,
            settings=settings or (),
            extend=extend,
            device=device,
            force=force,
            on_read=on_read,
        )
    tell_or_wait(enqueued, wait=wait, as_json=as_json)
    found = training(enqueued.job.id)
    if as_json:
        console.print_json(console.found_dict(found))
    else:
        print_training(found)


def print_training(found: Training) -> None:
    """Print each epoch, and what came of them."""
    from producer import console

    typer.echo()
    console.print_table(_EPOCH, [[one[name] for name in _EPOCH] for one in found.epochs])
    facts = (found.facts or {}) | {"base": found.base}
    without = " (without a GPU)" if facts.get("device") == "cpu" else ""
    typer.echo(f"\n{found.model} was trained on {found.dataset}{without}: a candidate until")
    typer.echo(f"`nightshelf models promote {found.model} --why …`\n")
    console.print_table(_SUMMARY, [[facts.get(name) for name in _SUMMARY]])

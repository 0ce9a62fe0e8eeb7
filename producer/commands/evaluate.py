"""`nightshelf evaluate`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from producer.exit_codes import ExitCode

if TYPE_CHECKING:
    from producer.evaluating import Evaluation


class Split(StrEnum):
    """The splits of a data set."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


_OVERALL = ("images", "instances", "precision", "recall", "f1", "map50", "map50_95")
_SPEED = ("preprocess_ms", "inference_ms", "postprocess_ms")


def evaluate(
    model: Annotated[str, typer.Argument(help="Name of a registered model.")],
    data: Annotated[str, typer.Argument(help="The data set's YAML file.")],
    split: Annotated[Split, typer.Option(help="On which of its images.")] = Split.VAL,
    imgsz: Annotated[int, typer.Option(help="Inference size in pixels, a multiple of 32.")] = 640,
    batch: Annotated[int, typer.Option(help="Images at once; changes how they are padded.")] = 16,
    conf: Annotated[
        float, typer.Option(help="Detections below this confidence do not count.")
    ] = 0.001,
    iou: Annotated[
        float, typer.Option(help="IoU above which NMS drops the weaker of two boxes.")
    ] = 0.7,
    max_det: Annotated[int, typer.Option(help="The most boxes that an image may have.")] = 300,
    device: Annotated[
        str | None, typer.Option(help="`cpu`, `cuda:0`. Default: the worker's own.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Measure again even if nothing has changed.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Show progress, then what was measured.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The job, or with --wait what was measured, as JSON.")
    ] = False,
) -> None:
    """Measure a model on a data set, with Ultralytics' own metrics and arguments.

    Classes that model and data set share by name count; ids may differ.

    Example: `nightshelf evaluate fruit fruit/data.yaml --imgsz 416 --wait`
    """
    from producer import console
    from producer.commands.waiting import wait_and_exit
    from producer.evaluating import evaluate as enqueue_evaluation
    from producer.evaluating import evaluation

    with console.image_progress() as on_read:
        enqueued = enqueue_evaluation(
            model,
            data,
            split=split.value,
            imgsz=imgsz,
            batch=batch,
            conf=conf,
            iou=iou,
            max_det=max_det,
            device=device,
            force=force,
            on_read=on_read,
        )
    if enqueued.broker_away:
        console.print_broker_away(enqueued.broker_away)
    if not wait:
        if as_json:
            console.print_json(console.job_dict(enqueued.job) | {"new": enqueued.new})
        else:
            console.print_enqueued(enqueued, enqueued.job.label)
        raise typer.Exit(ExitCode.OK)
    wait_and_exit([enqueued.job.id], quiet=as_json)
    found = evaluation(enqueued.job.id)
    if as_json:
        console.print_json(asdict(found))
    else:
        print_evaluation(found)


def print_evaluation(found: Evaluation) -> None:
    """Print what was measured: each class, all of them, and how fast it went."""
    from producer import console

    metrics = found.metrics
    typer.echo(
        f"\n{found.model} ({found.model_sha256[:12]}) on {found.dataset} {metrics['split']} "
        f"({found.dataset_sha256[:12]}), imgsz {metrics['imgsz']}, batch {metrics['batch']}\n"
    )
    rows = [[one["class"], *(one[name] for name in _OVERALL)] for one in found.classes]
    rows.append(["all", *(metrics[name] for name in _OVERALL)])
    console.print_table(("class", *_OVERALL), rows)
    typer.echo()
    console.print_table(_SPEED, [[metrics[name] for name in _SPEED]], title="per image")

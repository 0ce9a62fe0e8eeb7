"""`nightshelf evaluate`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from producer.commands.options import (
    AsJson,
    Batch,
    DataArgument,
    Device,
    Floor,
    Force,
    Imgsz,
    Iou,
    MaxDet,
    ModelArgument,
    OnSplit,
    Split,
    Wait,
)

if TYPE_CHECKING:
    from producer.evaluating import Evaluation


_OVERALL = (
    "images",
    "instances",
    "precision",
    "recall",
    "f1",
    "map50",
    "map50_95",
    "best_confidence",
)
_SPEED = ("preprocess_ms", "inference_ms", "postprocess_ms")


def evaluate(
    model: ModelArgument,
    data: DataArgument,
    split: OnSplit = Split.VAL,
    imgsz: Imgsz = 640,
    batch: Batch = 16,
    conf: Floor = 0.001,
    iou: Iou = 0.7,
    max_det: MaxDet = 300,
    device: Device = None,
    precision: Annotated[
        float | None,
        typer.Option(help="With --wait: say which confidence reaches this precision."),
    ] = None,
    force: Force = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Measure a model on a data set, with Ultralytics' own metrics and arguments.

    Classes that model and data set share by name count; ids may differ.

    Example: `nightshelf evaluate fruit fruit/data.yaml --imgsz 416 --wait`
    """
    from db.errors import UsageError
    from producer import console
    from producer.commands.waiting import tell_or_wait
    from producer.evaluating import check_precision, evaluation, operating_point
    from producer.evaluating import evaluate as enqueue_evaluation
    from producer.progress import image_progress

    if precision is not None:
        if not wait:
            raise UsageError("--precision tells something once it is measured: say --wait, too")
        check_precision(precision)
    with image_progress() as on_read:
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
    tell_or_wait(enqueued, wait=wait, as_json=as_json)
    found = evaluation(enqueued.job.id)
    if not as_json:
        print_evaluation(found)
    point = {}
    if precision is not None:
        point = asdict(operating_point(found.job_id, precision=precision))
        del point["job_id"]
    if as_json:
        more = {"operating_point": point} if point else {}
        console.print_json(console.found_dict(found) | more)
    elif point:
        typer.echo()
        console.print_table(tuple(point), [tuple(point.values())], title=f"precision {precision}")


def print_evaluation(found: Evaluation) -> None:
    """Print what was measured: each class, what goes wrong, and how fast it went."""
    from db.report_columns import ALL
    from producer import console
    from producer.job_control import job

    metrics = found.metrics
    typer.echo(
        f"\n{found.model} ({found.model_sha256[:12]}) on {found.dataset} {metrics['split']} "
        f"({found.dataset_sha256[:12]}), imgsz {metrics['imgsz']}, batch {metrics['batch']}\n"
    )
    rows = [[one["class"], *(one[name] for name in _OVERALL)] for one in found.classes]
    rows.append([ALL, *(metrics[name] for name in _OVERALL)])
    console.print_table(("class", *_OVERALL), rows)
    typer.echo()
    console.print_table(_SPEED, [[metrics[name] for name in _SPEED]], title="per image")
    typer.echo()
    if found.errors:
        console.print_table(
            ("error", "count", "map50_cost"),
            [(one["kind"], one["count"], one["map50_cost"]) for one in found.errors],
            title=f"errors from confidence {metrics['best_confidence'] or 0:.3f} on",
        )
        typer.echo()
    console.print_files(file for file in job(found.job_id).files if file.name == "report.html")

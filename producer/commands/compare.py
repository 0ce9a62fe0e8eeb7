"""`nightshelf compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from producer.commands.options import (
    AsJson,
    Batch,
    Device,
    Floor,
    Force,
    Imgsz,
    Iou,
    MaxDet,
    OnSplit,
    Split,
    Wait,
)

if TYPE_CHECKING:
    from producer.comparing import Comparison

_MEANS = ("precision", "recall", "f1", "map50", "map50_95")
_COUNTED = (
    "counted_at",
    "true_positives",
    "false_positives",
    "false_negatives",
    "counted_precision",
    "counted_recall",
    "counted_f1",
)
_COST = (
    "size_bytes",
    "parameters",
    "gflops",
    "preprocess_ms",
    "inference_ms",
    "postprocess_ms",
)


def compare(
    base: Annotated[str, typer.Argument(help="The model to compare with: NAME or NAME@VERSION.")],
    models: Annotated[list[str], typer.Argument(help="The models that are compared with it.")],
    data: Annotated[str, typer.Option(help="The data set's YAML file.")],
    split: OnSplit = Split.VAL,
    imgsz: Imgsz = 640,
    batch: Batch = 16,
    conf: Floor = 0.001,
    iou: Iou = 0.7,
    max_det: MaxDet = 300,
    class_map: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="MODELCLASS=DATASETCLASS",
            help="A class that a model calls otherwise than the data set; may be repeated.",
        ),
    ] = None,
    at: Annotated[
        str,
        typer.Option(
            metavar="CONF|best",
            help="The confidence from which on boxes are counted as right or wrong; `best`: each "
            "model's own of the highest F1.",
        ),
    ] = "best",
    match_iou: Annotated[
        float, typer.Option(help="The IoU from which on a box is counted as right: 0.5 to 0.95.")
    ] = 0.5,
    device: Device = None,
    force: Force = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Compare models on the same images: is one better, and is that more than luck?

    What counts are the data set's classes that all of them know by name, or by `--map`.

    Example: `nightshelf compare coco fruit --data fruit/data.yaml --imgsz 416 --wait`
    """
    from producer import console
    from producer.commands.waiting import tell_or_wait
    from producer.comparing import compare as enqueue_comparison
    from producer.comparing import comparison
    from producer.progress import image_progress

    with image_progress() as on_read:
        enqueued = enqueue_comparison(
            base,
            models,
            data,
            split=split.value,
            imgsz=imgsz,
            batch=batch,
            conf=conf,
            iou=iou,
            max_det=max_det,
            class_map=_mapped(class_map or []),
            at=_confidence(at),
            match_iou=match_iou,
            device=device,
            force=force,
            on_read=on_read,
        )
    tell_or_wait(enqueued, wait=wait, as_json=as_json)
    found = comparison(enqueued.job.id)
    if as_json:
        console.print_json(console.found_dict(found))
    else:
        print_comparison(found)


def _mapped(pairs: list[str]) -> dict[str, str]:
    from db.errors import UsageError

    found: dict[str, str] = {}
    for pair in pairs:
        theirs, equals, ours = (part.strip() for part in pair.partition("="))
        if not (theirs and equals and ours):
            raise UsageError(f"--map takes MODELCLASS=DATASETCLASS, not {pair!r}")
        if found.setdefault(theirs, ours) != ours:
            raise UsageError(f"--map makes {theirs!r} both {found[theirs]!r} and {ours!r}")
    return found


def _confidence(at: str) -> float | None:
    from db.errors import UsageError

    if at == "best":
        return None
    try:
        return float(at)
    except ValueError:
        raise UsageError(f"--at takes a confidence or `best`, not {at!r}") from None


def print_comparison(found: Comparison) -> None:
    """Print how models compare, what they find, and what they cost."""
    from producer import console
    from producer.job_control import job

    arguments = found.arguments
    typer.echo(
        f"\n{found.dataset} {arguments['split']} ({found.dataset_sha256[:12]}), "
        f"{arguments['images']} images, {arguments['instances']} objects of "
        f"{', '.join(arguments['classes'])}; imgsz {arguments['imgsz']}, batch {arguments['batch']}"
    )
    for one in found.models:
        if one.metrics["left_out"]:
            typer.echo(f"{one.model} does not know {', '.join(one.metrics['left_out'])}")
    typer.echo()
    rows = []
    for one in found.models:
        said = [_interval(one.metrics, metric) for metric in ("map50", "map50_95")]
        rows.append([one.model, *(one.metrics[name] for name in _MEANS), *said])
    columns = ("model", *_MEANS, "map50 to base [95 %]", "map50_95 to base [95 %]")
    console.print_table(columns, rows)
    for title, names in ((f"counted at IoU {arguments['match_iou']}", _COUNTED), ("cost", _COST)):
        typer.echo()
        table = [[one.model, *(one.metrics[name] for name in names)] for one in found.models]
        console.print_table(("model", *names), table, title=title)
    typer.echo()
    classes = [
        [row["class"], one.model, *(row[name] for name in ("instances", *_MEANS))]
        for one in found.models
        for row in one.classes
    ]
    classes.sort(key=lambda row: row[0])
    console.print_table(("class", "model", "instances", *_MEANS), classes, title="by class")
    typer.echo()
    page = [file for file in job(found.job_id).files if file.name == "report.html"]
    console.print_files(page)


def _interval(metrics: dict[str, float | None], metric: str) -> str:
    value, low, high = (metrics[f"{metric}_{end}"] for end in ("difference", "low", "high"))
    if value is None:
        return "base"
    if low is None or high is None:
        return f"{value:+.3f} too few images"
    verdict = "better" if low > 0 else "worse" if high < 0 else "no clear difference"
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}] {verdict}"

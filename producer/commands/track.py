"""`nightshelf track`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from db.spec import Priority
from db.tracking_specs import TrackerOptions
from producer.commands.options import Classes, Device, Force, Imgsz, Iou, ModelOption, Wait, names

if TYPE_CHECKING:
    from producer.evaluating import OperatingPoint


class PriorityName(StrEnum):
    """`Priority`, as it is typed."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class DistanceFunction(StrEnum):
    """Norfair's distance functions that make sense for boxes from a fixed camera."""

    IOU = "iou"
    EUCLIDEAN = "euclidean"


_DEFAULTS = TrackerOptions()
_DISTANCE_FUNCTION = DistanceFunction(_DEFAULTS.distance_function)
_TRACKER = "Tracker, in Norfair's own words"


def track(
    videos: Annotated[
        list[str], typer.Argument(help="Videos: files, globs, or folders with all below them.")
    ],
    model: ModelOption,
    conf: Annotated[
        str,
        typer.Option(
            metavar="FLOAT|auto",
            help="Detections below this confidence are not tracked; `auto`: that of the highest F1 "
            "in the model's last evaluation.",
        ),
    ] = "0.25",
    precision: Annotated[
        float | None,
        typer.Option(
            help="With `--conf auto`: the lowest confidence that reaches this precision there."
        ),
    ] = None,
    iou: Iou = 0.7,
    imgsz: Imgsz = 640,
    classes: Classes = None,
    stride: Annotated[int, typer.Option(help="Look at every n-th frame.")] = 1,
    device: Device = None,
    distance_function: Annotated[
        DistanceFunction,
        typer.Option(help="How far a detection is from a track.", rich_help_panel=_TRACKER),
    ] = _DISTANCE_FUNCTION,
    distance_threshold: Annotated[
        float,
        typer.Option(
            help="Further than this is no match: 1 - IoU for `iou`, pixels for `euclidean`.",
            rich_help_panel=_TRACKER,
        ),
    ] = _DEFAULTS.distance_threshold,
    hit_counter_max: Annotated[
        int,
        typer.Option(
            help="How many frames a track outlives its last detection.", rich_help_panel=_TRACKER
        ),
    ] = _DEFAULTS.hit_counter_max,
    initialization_delay: Annotated[
        int,
        typer.Option(
            help="How many frames a track must be seen before it counts.",
            rich_help_panel=_TRACKER,
        ),
    ] = _DEFAULTS.initialization_delay,
    annotate: Annotated[
        bool, typer.Option("--annotate", help="Write an H.264 MP4 with the tracks drawn.")
    ] = False,
    priority: Annotated[
        PriorityName, typer.Option(help="Which of the waiting jobs go first.")
    ] = PriorityName.NORMAL,
    force: Force = False,
    wait: Wait = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list of the jobs.")] = False,
) -> None:
    """Detect and track the products in videos, one job each.

    A video that was tracked with the same model and options before is not tracked again:
    its job is named instead.

    Example: `nightshelf track footage/ 'old/*.mp4' --model coco --classes bottle --wait`
    """
    from db.one_line import printable
    from producer import console
    from producer.commands.waiting import wait_and_exit
    from producer.enqueue import validated
    from producer.evaluating import operating_point_of
    from producer.inputs import find_videos
    from producer.progress import reading_progress
    from producer.registry import usable_model
    from producer.tracking import track as enqueue_tracks

    options = validated(
        TrackerOptions,
        distance_function=distance_function.value,
        distance_threshold=distance_threshold,
        hit_counter_max=hit_counter_max,
        initialization_delay=initialization_delay,
    )
    confidence = _confidence(conf)
    if confidence == "auto":
        registered = usable_model(model)
        point = operating_point_of(registered, imgsz=imgsz, precision=precision)
        model, confidence, precision = registered.reference, point.confidence, None
    paths = find_videos(
        videos, lambda reason: typer.echo(f"nightshelf: left out: {reason}", err=True)
    )
    with reading_progress(sum(path.stat().st_size for path in paths)) as on_read:
        enqueued = enqueue_tracks(
            paths,
            model,
            conf=confidence,
            precision=precision,
            iou=iou,
            imgsz=imgsz,
            classes=names(classes),
            stride=stride,
            device=device,
            tracker=options,
            annotate=annotate,
            priority=Priority[priority.name],
            force=force,
            on_read=on_read,
        )
    if as_json:
        console.print_json([console.job_dict(one.job) | {"new": one.new} for one in enqueued])
    else:
        for path, one in zip(paths, enqueued, strict=True):
            console.print_enqueued(one, printable(path.name))
        if conf == "auto":
            _print_choice(point, imgsz)
    if enqueued[0].broker_away:
        console.print_broker_away(enqueued[0].broker_away)
    if wait:
        wait_and_exit([one.job.id for one in enqueued], quiet=as_json)


def _print_choice(point: OperatingPoint, imgsz: int) -> None:
    """Say which confidence was chosen, and by what."""
    from producer.evaluating import evaluation

    by = evaluation(point.job_id)
    split, size = by.metrics["split"], by.metrics["imgsz"]
    typer.echo(
        f"confidence {point.confidence:.3f}, by the evaluation of {by.model} on {by.dataset} "
        f"{split} at imgsz {size} (job {point.job_id})"
    )
    if size != imgsz:
        typer.echo(f"It was not evaluated at imgsz {imgsz}, where another may be better")


def _confidence(text: str) -> float | Literal["auto"]:
    from db.errors import UsageError

    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--conf is a number between 0 and 1, or `auto`, not {text!r}") from None

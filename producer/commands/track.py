"""`nightshelf track`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from db.specs import Priority, TrackerOptions


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
    model: Annotated[str, typer.Option(help="Name of a registered model.")],
    conf: Annotated[
        float, typer.Option(help="Detections below this confidence are not tracked.")
    ] = 0.25,
    iou: Annotated[
        float, typer.Option(help="IoU above which NMS drops the weaker of two boxes.")
    ] = 0.7,
    imgsz: Annotated[int, typer.Option(help="Inference size in pixels, a multiple of 32.")] = 640,
    classes: Annotated[
        str | None, typer.Option(help="Only these classes, by name: `bottle,apple`.")
    ] = None,
    stride: Annotated[int, typer.Option(help="Look at every n-th frame.")] = 1,
    device: Annotated[
        str | None, typer.Option(help="`cpu`, `cuda:0`. Default: the worker's own.")
    ] = None,
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
    force: Annotated[
        bool, typer.Option("--force", help="Make another job even if one did the same.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Show progress until the jobs are over.")
    ] = False,
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
    from producer.inputs import find_videos
    from producer.tracking import track as enqueue_tracks

    options = validated(
        TrackerOptions,
        distance_function=distance_function.value,
        distance_threshold=distance_threshold,
        hit_counter_max=hit_counter_max,
        initialization_delay=initialization_delay,
    )
    paths = find_videos(
        videos, lambda reason: typer.echo(f"nightshelf: left out: {reason}", err=True)
    )
    with console.reading_progress(sum(path.stat().st_size for path in paths)) as on_read:
        enqueued = enqueue_tracks(
            paths,
            model,
            conf=conf,
            iou=iou,
            imgsz=imgsz,
            classes=None if classes is None else [name.strip() for name in classes.split(",")],
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
    if enqueued[0].broker_away:
        console.print_broker_away(enqueued[0].broker_away)
    if wait:
        wait_and_exit([one.job.id for one in enqueued], quiet=as_json)

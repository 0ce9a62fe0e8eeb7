"""`nightshelf predict`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from producer.commands.options import (
    AsJson,
    Classes,
    Device,
    Force,
    Imgsz,
    Iou,
    MaxDet,
    ModelOption,
    Wait,
    names,
)

if TYPE_CHECKING:
    from producer.predicting import Prediction

# The rest is in the table `prediction_images`.
_UNREADABLE_SHOWN = 10


def predict(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Images: files, globs, or folders with all below them.", metavar="SOURCE..."
        ),
    ],
    model: ModelOption,
    conf: Annotated[
        float, typer.Option(help="Detections below this confidence are dropped.")
    ] = 0.25,
    iou: Iou = 0.7,
    imgsz: Imgsz = 640,
    max_det: MaxDet = 300,
    classes: Classes = None,
    device: Device = None,
    annotate: Annotated[bool, typer.Option(help="Write the images with their boxes drawn.")] = True,
    force: Force = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Look at images with a model, all of them in one job; the boxes are those of Ultralytics.

    They are rows in the database, and files of the job: Parquet, CSV, COCO JSON, and the images
    with their boxes drawn.

    Example: `nightshelf predict stills/ --model fruit --classes apple --wait`
    """
    from producer import console
    from producer.commands.waiting import tell_or_wait
    from producer.predicting import predict as enqueue_prediction
    from producer.predicting import prediction
    from producer.progress import image_progress

    with image_progress() as on_read:
        enqueued = enqueue_prediction(
            sources,
            model,
            conf=conf,
            iou=iou,
            imgsz=imgsz,
            max_det=max_det,
            classes=names(classes),
            device=device,
            annotate=annotate,
            force=force,
            on_read=on_read,
            on_left_out=lambda why: typer.echo(f"nightshelf: left out: {why}", err=True),
        )
    tell_or_wait(enqueued, wait=wait, as_json=as_json)
    found = prediction(enqueued.job.id)
    if as_json:
        found.facts["annotated"] = _drawn(found)
        console.print_json(console.found_dict(found))
    else:
        _print(found)


def _print(found: Prediction) -> None:
    from db.one_line import printable
    from producer import console
    from producer.job_control import job

    facts = found.facts
    typer.echo(
        f"\n{found.model} ({found.model_sha256[:12]}): {facts['detections']} detections in "
        f"{facts['images'] - facts['unreadable']} images of {printable(facts['folder'])}, "
        f"{facts['seconds']:.1f} s on {facts['device']}\n"
    )
    columns = ("class", "detections", "images")
    console.print_table(columns, [[one[name] for name in columns] for one in found.classes])
    typer.echo()
    if facts["limited"]:
        typer.echo(
            f"In {facts['limited']} images there was more to see than {facts['max_det']} boxes: "
            "raise --max-det.\n"
        )
    if found.unreadable:
        console.print_table(
            ("image", "why it was not read"),
            [(printable(one["name"]), one["problem"]) for one in found.unreadable][
                :_UNREADABLE_SHOWN
            ],
            title=f"{facts['unreadable']} images could not be read",
        )
        typer.echo()
    console.print_files(job(found.job_id).files)
    if drawn := _drawn(found):
        typer.echo(f"\ndrawn: {drawn}")


def _drawn(found: Prediction) -> str | None:
    """Where the images are with their boxes drawn: a folder, or in an object store one archive."""
    from db.settings import settings

    address = found.facts["annotated"]
    archive = ".tar" if settings().files_url else ""
    return address and f"{settings().located(address)}{archive}"

"""Options that several commands have: the same words everywhere."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Split(StrEnum):
    """The splits of a data set."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


ModelArgument = Annotated[
    str, typer.Argument(help="A registered model: NAME, or NAME@VERSION.", metavar="MODEL")
]
ModelOption = Annotated[
    str, typer.Option(help="A registered model: NAME, or NAME@VERSION.", metavar="MODEL")
]
DataArgument = Annotated[str, typer.Argument(help="The data set's YAML file.", metavar="DATA")]
OnSplit = Annotated[Split, typer.Option(help="On which of its images.")]
Floor = Annotated[float, typer.Option(help="Detections below this confidence do not count.")]
Imgsz = Annotated[int, typer.Option(help="Inference size in pixels, a multiple of 32.")]
Batch = Annotated[int, typer.Option(help="Images at once; changes how they are padded.")]
Iou = Annotated[float, typer.Option(help="IoU above which NMS drops the weaker of two boxes.")]
MaxDet = Annotated[int, typer.Option(help="The most boxes that an image may have.")]
Classes = Annotated[str | None, typer.Option(help="Only these classes, by name: `bottle,apple`.")]
Device = Annotated[str | None, typer.Option(help="`cpu`, `cuda:0`. Default: the worker's own.")]
Force = Annotated[bool, typer.Option("--force", help="Make another job even if one did the same.")]
Wait = Annotated[
    bool, typer.Option("--wait", help="Show progress until it is over, then what came of it.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="The job, or with --wait what came of it, as JSON.")
]


def names(text: str | None) -> list[str] | None:
    """The names in a list that was typed with commas."""
    return None if text is None else [name.strip() for name in text.split(",")]

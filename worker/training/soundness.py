"""Whether a data set can be trained on: Ultralytics leaves out what it cannot use, in its log."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image

from db.dataset_files import DatasetFiles, label_of
from db.errors import DatasetError
from worker.context import Context
from worker.datasets.labels import read_labels
from worker.datasets.problems import Kind

SPLITS = ("train", "val")

# What makes Ultralytics leave a whole image out.
_LEFT_OUT_FOR = (Kind.MALFORMED_LINE, Kind.CLASS_OUT_OF_RANGE, Kind.BOX_OUTSIDE)


def refuse_unsound(files: DatasetFiles, context: Context) -> None:
    """Make sure that all of a data set can be trained on and validated.

    Raises:
        DatasetError: it has no `train` or `val`, no objects in one of them, or an image or label
            that would be left out; the first is named.
        Stopped: the job was told to stop.
    """
    total = sum(len(files.splits.get(split, ())) for split in SPLITS)
    wrong: list[str] = []
    done = 0
    for split in SPLITS:
        objects = 0
        for image in files.images(split):
            found, why = _look_at(image, len(files.class_names))
            objects += found
            wrong += [why] if why else []
            context.advance(done := done + 1, total, "images", "looking through")
        if not objects and not wrong:
            raise DatasetError(
                f"{files.data} has no labels in {split}: they are looked for beside the images, as "
                f"{label_of(files.splits[split][0])}"
            )
    if wrong:
        raise DatasetError(
            f"{len(wrong)} of {total} images of {files.data} cannot be used, such as {wrong[0]}: "
            "mend or remove them (`nightshelf dataset check` lists them all)"
        )


def _look_at(image: Path, classes: int) -> tuple[int, str | None]:
    """How many objects there are in an image, and why it would be left out, if it would."""
    if not image.exists():
        return 0, f"{image} (it is missing)"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of odd metadata
            with Image.open(image) as opened:
                opened.verify()
    except (OSError, SyntaxError, ValueError, ImportError, Image.DecompressionBombError):
        size = image.stat().st_size
        return 0, f"{image} (it has 0 bytes)" if not size else f"{image} (it is no image)"
    label = label_of(image)
    if not label.is_file():
        return 0, None
    labels = read_labels(label, classes)
    for kind, line in labels.problems:
        if kind in _LEFT_OUT_FOR:
            return 0, f"{label}, line {line} ({kind})"
    return len(labels.rows), None

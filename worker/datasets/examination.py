"""A whole data set, read once: each image and each object in it, and everything that is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import filterfalse, islice
from pathlib import Path

import polars as pl

from db.dataset_files import DatasetFiles, has_utf8_name, label_of
from db.one_line import printable
from worker.datasets.duplicates import same, similar
from worker.datasets.labels import Labels, read_labels
from worker.datasets.pictures import Picture, read_picture
from worker.datasets.problems import Kind, Problem

# Decoding is Pillow's, which lets other threads run meanwhile.
_THREADS = 4
_CHUNK = 64

# An order of magnitude. What such ratios cost is measured in Buda, Maki, Mazurowski, A systematic
# study of the class imbalance problem in convolutional neural networks, 2018.
IMBALANCED = 10.0

# An object below a hundredth of the picture is a few pixels wide at the usual inference sizes.
SMALL = 0.01

OBJECTS_SCHEMA = {
    "split": pl.String,
    "image": pl.String,
    "class_id": pl.Int32,
    "class": pl.String,
    "x": pl.Float64,
    "y": pl.Float64,
    "width": pl.Float64,
    "height": pl.Float64,
    "image_width": pl.Int32,
    "image_height": pl.Int32,
}
IMAGES_SCHEMA = {
    "split": pl.String,
    "image": pl.String,
    "objects": pl.Int32,
    "width": pl.Int32,
    "height": pl.Int32,
    "sha256": pl.String,
    "phash": pl.UInt64,
}


@dataclass(frozen=True, slots=True)
class Examination:
    """What is in a data set.

    Attributes:
        files: the data set as it was found.
        images: a row for each image that decodes (`IMAGES_SCHEMA`).
        objects: a row for each sound object in them (`OBJECTS_SCHEMA`); x, y (of the centre),
            width and height in parts of the image.
        problems: everything that is wrong.
    """

    files: DatasetFiles
    images: pl.DataFrame
    objects: pl.DataFrame
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    image: Path
    picture: Picture | None
    labels: Labels | None


def examine(files: DatasetFiles, on_read: Callable[[int], None]) -> Examination:
    """Read every image and label of a data set.

    Args:
        files: the data set.
        on_read: called after each image, with the number of images read so far.

    Raises:
        OSError: a file cannot be read, though it is there.
    """
    images: list[tuple[object, ...]] = []
    objects: list[tuple[object, ...]] = []
    problems = [*_of_yaml(files)]
    classes, done = len(files.class_names), 0
    for split, paths in files.splits.items():
        for one in _read_all(filter(has_utf8_name, paths), classes):
            problems += _problems(split, one)
            if one.picture is not None:
                images.append(_image_row(split, one))
                objects += _object_rows(split, one, files.class_names)
            on_read(done := done + 1)
        for kind, wrong in (
            (Kind.UNDECODABLE_NAME, filterfalse(has_utf8_name, paths)),
            (Kind.LABEL_WITHOUT_IMAGE, _lone_labels(paths)),
        ):
            problems += [Problem(kind, split, printable(str(path))) for path in wrong]
    seen = pl.DataFrame(images, schema=IMAGES_SCHEMA, orient="row")
    boxes = pl.DataFrame(objects, schema=OBJECTS_SCHEMA, orient="row")
    problems += [*_of_classes(files, boxes), *_of_duplicates(seen)]
    return Examination(files, seen, boxes, tuple(problems))


def _read_all(paths: Iterable[Path], classes: int) -> Iterator[_Read]:
    def read(image: Path) -> _Read:
        label = label_of(image)
        return _Read(
            image,
            read_picture(image) if image.is_file() else None,
            read_labels(label, classes) if label.is_file() else None,
        )

    upcoming = iter(paths)
    with ThreadPoolExecutor(_THREADS) as pool:
        while chunk := list(islice(upcoming, _CHUNK)):
            yield from pool.map(read, chunk)


def _of_yaml(files: DatasetFiles) -> Iterator[Problem]:
    for repair in files.repairs:
        yield Problem(Kind.REPAIRED, None, repair)
    for name, count in Counter(files.class_names).items():
        if count > 1:
            yield Problem(Kind.REPEATED_NAME, None, f"{count} classes are called {name}")
    for split in ("train", "val"):
        if split not in files.splits:
            yield Problem(Kind.MISSING_SPLIT, split, files.without(split))


def _problems(split: str, one: _Read) -> Iterator[Problem]:
    if not one.image.is_file():
        yield Problem(Kind.MISSING_IMAGE, split, str(one.image))
    elif one.picture is None:
        yield Problem(Kind.UNREADABLE_IMAGE, split, str(one.image))
    if one.labels is None:
        yield Problem(Kind.IMAGE_WITHOUT_LABEL, split, str(one.image))
        return
    label = label_of(one.image)
    for kind, line in one.labels.problems:
        yield Problem(kind, split, f"{label}, line {line}")


def _image_row(split: str, one: _Read) -> tuple[object, ...]:
    assert one.picture is not None
    objects = 0 if one.labels is None else len(one.labels.rows)
    found = one.picture
    return (
        *(split, str(one.image), objects),
        *(found.width, found.height, found.sha256, found.phash),
    )


def _object_rows(
    split: str, one: _Read, class_names: tuple[str, ...]
) -> Iterator[tuple[object, ...]]:
    assert one.picture is not None
    if one.labels is None:
        return
    for number, *box in one.labels.rows.tolist():
        class_id = int(number)
        yield (
            *(split, str(one.image), class_id, class_names[class_id], *box),
            *(one.picture.width, one.picture.height),
        )


def _lone_labels(images: tuple[Path, ...]) -> list[Path]:
    """Label files beside those of the images, of which there is no image."""
    wanted = {label_of(image) for image in images}
    folders = {label.parent for label in wanted}
    return sorted(
        path
        for folder in folders
        if folder.is_dir()
        for path in folder.glob("*.txt")
        if path not in wanted and path.name != "classes.txt"
    )


def _of_classes(files: DatasetFiles, objects: pl.DataFrame) -> Iterator[Problem]:
    for split in files.splits:
        counts = dict(objects.filter(pl.col("split") == split).group_by("class").len().iter_rows())
        if not counts:
            yield Problem(Kind.NO_LABELS, split, f"not one object in `{split}`")
            continue
        for name in files.class_names:
            if name not in counts:
                yield Problem(Kind.EMPTY_CLASS, split, f"{name} is not seen in `{split}`")
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        ratio = counts[most] / counts[least]
        if split == "train" and ratio > IMBALANCED:
            yield Problem(
                Kind.IMBALANCE,
                split,
                f"{counts[most]} of {most} for {counts[least]} of {least}: {ratio:.0f} to 1",
            )


def _of_duplicates(images: pl.DataFrame) -> Iterator[Problem]:
    rows = images.select("split", "image", "sha256", "phash").rows()
    exact = set()
    for one, other in same([row[2] for row in rows]):
        exact.add((one, other))
        first, second = rows[one], rows[other]
        kind = Kind.REPEATED_IMAGE if first[0] == second[0] else Kind.SAME_IMAGE
        split = first[0] if kind is Kind.REPEATED_IMAGE else None
        yield Problem(kind, split, f"{first[1]} and {second[1]}")
    for one, other in similar([row[3] for row in rows]):
        first, second = rows[one], rows[other]
        if first[0] != second[0] and first[2] != second[2]:
            yield Problem(Kind.SIMILAR_IMAGE, None, f"{first[1]} and {second[1]}")

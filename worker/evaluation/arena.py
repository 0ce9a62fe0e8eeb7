"""A data set laid out in a folder of the job's own, for Ultralytics to read and write in.

Ultralytics writes a cache beside the labels, and mends JPEG files that end oddly where they lie.
Here it finds links to what it only reads and copies of what it would change, under names of our
own, in the order in which it would read the originals. What it would leave out, with a line in its
log, is found here first, by its own judgement.
"""

from __future__ import annotations

import shutil
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml
from ultralytics.data.utils import verify_image_label

from db.dataset_files import DatasetFiles, label_of
from db.errors import DatasetError
from db.one_line import printable

_JPEG_END: Final = b"\xff\xd9"

# Reading files, most of it: threads wait for the disk.
_THREADS: Final = 4
_CHUNK: Final = 64

# In characters: some list all numbers of a file, or all formats that there are.
_LONGEST_REASON: Final = 100


@dataclass(frozen=True, slots=True)
class Arena:
    """A data set as it was laid out.

    Attributes:
        data: its `data.yaml`.
        originals: of each split, the image that each name stands for.
        objects: how many objects of the classes that are wanted there are in each split.
    """

    data: Path
    originals: Mapping[str, Mapping[str, Path]]
    objects: Mapping[str, int]


def lay_out(
    files: DatasetFiles,
    splits: Sequence[str],
    names: Mapping[int, str],
    folder: Path,
    on_image: Callable[[int, int], None],
    ids: Mapping[str, int] | None = None,
) -> Arena:
    """Lay splits of a data set out under `folder`, all of them or none.

    Args:
        files: the data set.
        splits: those that are wanted.
        names: class id to name, of the model that is to read it.
        folder: where; it is made.
        on_image: called after each image, with the number of images so far and that of all; what
            it raises ends it.
        ids: which of its classes each of the data set's is; if None, the one of the same name.
            Objects of other classes are left out.

    Raises:
        DatasetError: there is no such split, or Ultralytics would leave an image of it out; the
            first is named.
    """
    if ids is None:
        ids = {name: number for number, name in names.items()}
    wanted = {number: ids[name] for number, name in enumerate(files.class_names) if name in ids}
    same = all(number == other for number, other in wanted.items())
    same = same and len(wanted) == len(files.class_names)
    folder.mkdir()
    places = {split: _places(files.images(split), split, folder) for split in splits}
    place = partial(_place, classes=len(files.class_names), wanted=None if same else wanted)
    objects, left_out = _place_all(places, place, on_image)
    if left_out:
        raise DatasetError(
            f"{len(left_out)} of {sum(map(len, places.values()))} images of {files.data} cannot be "
            f"used, such as {printable(left_out[0])}: mend or remove them (`nightshelf dataset "
            "check` lists them all)"
        )
    originals = {
        split: {one.image.name: one.original for one in placed} for split, placed in places.items()
    }
    return Arena(_write_data(splits, names, folder), originals, objects)


@dataclass(frozen=True, slots=True)
class _Placed:
    """Where an image and its label come to lie."""

    original: Path
    image: Path
    label: Path


def _places(images: Sequence[Path], split: str, folder: Path) -> list[_Placed]:
    there, labels = folder / "images" / split, folder / "labels" / split
    there.mkdir(parents=True)
    labels.mkdir(parents=True)
    return [
        _Placed(image, there / f"{number:07}{image.suffix.lower()}", labels / f"{number:07}.txt")
        for number, image in enumerate(sorted(images, key=str))
    ]


def _place_all(
    places: Mapping[str, Sequence[_Placed]],
    place: Callable[[_Placed], tuple[int, str | None]],
    on_image: Callable[[int, int], None],
) -> tuple[dict[str, int], list[str]]:
    """Place all splits.

    Returns:
        how many objects count in each split; and what would be left out, and why.
    """
    total, done = sum(map(len, places.values())), 0
    objects = dict.fromkeys(places, 0)
    left_out: list[str] = []
    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
        warnings.simplefilter("ignore")  # Pillow's, of odd metadata
        for split, images in places.items():
            for start in range(0, len(images), _CHUNK):
                for found, reason in pool.map(place, images[start : start + _CHUNK]):
                    objects[split] += found
                    left_out += [reason] if reason else []
                    on_image(done := done + 1, total)
    return objects, left_out


def _place(one: _Placed, classes: int, wanted: Mapping[int, int] | None) -> tuple[int, str | None]:
    """Place an image and its label.

    Args:
        one: from where to where.
        classes: how many the data set has.
        wanted: which of the model's classes those that count are; None if all are the same.

    Returns:
        how many of its objects count; and, if Ultralytics would leave it out, what and why.
    """
    if not one.original.exists():
        return 0, f"{one.original} (it is missing)"
    if not one.original.stat().st_size:
        return 0, f"{one.original} (it has 0 bytes)"
    _place_image(one)
    label = label_of(one.original)
    if label.is_file():
        one.label.symlink_to(label)
    pair = (str(one.image), str(one.label), "", False, classes, 0, 0, False)
    _, rows, *_, said = verify_image_label(pair)
    if rows is None:
        return 0, f"{one.original} ({_reason(one, said)})"
    if wanted is not None and label.is_file():
        rows = [row for row in rows if int(row[0]) in wanted]
        one.label.unlink()
        lines = [f"{wanted[int(number)]} {_text(box)}\n" for number, *box in rows]
        one.label.write_text("".join(lines), encoding="utf-8")
    return len(rows), None


def _place_image(one: _Placed) -> None:
    if one.image.suffix in {".jpg", ".jpeg"} and not _ends_as_jpeg(one.original):
        shutil.copyfile(one.original, one.image)
    else:
        one.image.symlink_to(one.original)


def _ends_as_jpeg(image: Path) -> bool:
    try:
        with image.open("rb") as file:
            file.seek(-2, 2)
            return file.read() == _JPEG_END
    except OSError:  # shorter than that
        return True


def _reason(one: _Placed, said: str) -> str:
    """Ultralytics' reason alone, on one line, about the files as they are known."""
    reason = said.removeprefix(f"{one.image}: ignoring corrupt image/label: ")
    if "pi_heif" in reason:  # which it has Pillow ask for what that cannot identify
        return "it is no image"
    reason = reason.replace(str(one.image), one.original.name)
    reason = reason.replace(str(one.label), label_of(one.original).name)
    return textwrap.shorten(reason, _LONGEST_REASON, placeholder=" …")


def _text(box: Sequence[Any]) -> str:
    """Numbers of float32 as text: nine digits give the same number again."""
    return " ".join(f"{number:.9g}" for number in box)


def _write_data(splits: Sequence[str], names: Mapping[int, str], folder: Path) -> Path:
    content: dict[str, Any] = {split: str(folder / "images" / split) for split in splits}
    # Ultralytics insists on both.
    content |= {split: content[splits[0]] for split in ("train", "val") if split not in content}
    content["names"] = dict(names)
    data = folder / "data.yaml"
    data.write_text(yaml.safe_dump(content), encoding="utf-8")
    return data

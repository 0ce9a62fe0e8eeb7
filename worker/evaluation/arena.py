"""A data set laid out in a folder of the job's own, for Ultralytics to read and write in.

Ultralytics writes a cache beside the labels, and mends images that end too early where they lie.
Here it finds links to what it only reads and copies of what it would change, under names of our
own, in the order in which it would read the originals.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from db.dataset_files import DatasetFiles, label_of

_JPEG_END = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Arena:
    """A data set as it was laid out.

    Attributes:
        data: its `data.yaml`.
        originals: of each split, the image that each name stands for.
    """

    data: Path
    originals: Mapping[str, Mapping[str, Path]]


def lay_out(
    files: DatasetFiles,
    splits: Sequence[str],
    names: Mapping[int, str],
    folder: Path,
    ids: Mapping[str, int] | None = None,
) -> Arena:
    """Lay splits of a data set out under `folder`.

    Args:
        files: the data set.
        splits: those that are wanted; it has them.
        names: class id to name, of the model that is to read it.
        folder: where; it is made.
        ids: which of its classes each of the data set's is; if None, the one of the same name.
            Objects of other classes are left out.
    """
    if ids is None:
        ids = {name: number for number, name in names.items()}
    wanted = {number: ids[name] for number, name in enumerate(files.class_names) if name in ids}
    same = all(number == other for number, other in wanted.items())
    same = same and len(wanted) == len(files.class_names)
    originals: dict[str, dict[str, Path]] = {}
    for split in splits:
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        originals[split] = {}
        for number, image in enumerate(sorted(files.splits[split], key=str)):
            name = f"{number:07}{image.suffix.lower()}"
            originals[split][name] = image
            _place(image, images / name)
            _label(label_of(image), labels / f"{number:07}.txt", None if same else wanted)
    content: dict[str, Any] = {split: str(folder / "images" / split) for split in splits}
    # Ultralytics insists on both.
    content |= {split: content[splits[0]] for split in ("train", "val") if split not in content}
    data = folder / "data.yaml"
    content["names"] = dict(names)
    data.write_text(yaml.safe_dump(content), encoding="utf-8")
    return Arena(data, originals)


def _place(image: Path, target: Path) -> None:
    if image.suffix.lower() in {".jpg", ".jpeg"} and not _ends_as_jpeg(image):
        shutil.copyfile(image, target)
    elif image.exists():
        target.symlink_to(image)


def _ends_as_jpeg(image: Path) -> bool:
    try:
        with image.open("rb") as file:
            file.seek(-2, 2)
            return file.read() == _JPEG_END
    except OSError:  # shorter than that
        return True


def _label(source: Path, target: Path, wanted: Mapping[int, int] | None) -> None:
    if not source.is_file():
        return
    if wanted is None:
        target.symlink_to(source)
        return
    lines = []
    for line in source.read_text(encoding="utf-8", errors="replace").splitlines():
        number, _, rest = line.strip().partition(" ")
        if number.isdigit() and int(number) in wanted:
            lines.append(f"{wanted[int(number)]} {rest}\n")
    target.write_text("".join(lines), encoding="utf-8")

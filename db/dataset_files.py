"""From a `data.yaml`, as people really have it, to images and labels; and what they are together.

Ultralytics looks for a data set's folders in its own settings' folder, and stops at much that is
easily told: here each split is looked for beside the file, and what had to be put right is said.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from db.common_classes import repeated_name
from db.dataset_sources import NotThere, find_sources
from db.errors import DatasetError
from db.files import sha256_of
from db.one_line import printable

# What Ultralytics reads: `IMG_FORMATS` of `ultralytics.data.utils`, those that need no further
# package.
IMAGE_SUFFIXES = frozenset(
    {".bmp", ".dng", ".jpeg", ".jpg", ".jp2", ".mpo", ".png", ".tif", ".tiff", ".webp"}
)

SPLITS = ("train", "val", "test")

# A data.yaml has some hundred lines; one of megabytes is something else.
_MAX_YAML_BYTES = 2**20

# An id is a place in a list: a mistyped one must not fill the memory.
_MOST_CLASSES = 100_000


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """A data set as it was found.

    Attributes:
        data: its YAML file.
        class_names: name of each class; the index is the class id.
        splits: the images of each split that there is, sorted; of `SPLITS`, in that order.
        sources: the folders and list files that each split stands for.
        repairs: what the file says otherwise, or does not say; a sentence each.
        missing: of each split that the file names in vain, why there are no images.
    """

    data: Path
    class_names: tuple[str, ...]
    splits: Mapping[str, tuple[Path, ...]]
    sources: Mapping[str, tuple[Path, ...]]
    repairs: tuple[str, ...]
    missing: Mapping[str, str]

    def images(self, split: str) -> tuple[Path, ...]:
        """The images of one split, to be trained or measured on.

        Raises:
            DatasetError: there is no such split, an image's name is not UTF-8, or two classes have
                the same name: no row could tell them apart.
        """
        if split not in self.splits:
            raise DatasetError(self.without(split))
        if twins := repeated_name(self.class_names):
            first, second = twins
            raise DatasetError(
                f"{self.data} calls both class {first} and class {second} "
                f"{self.class_names[first]}: make them one, or give one of them another name"
            )
        for image in self.splits[split]:
            if not has_utf8_name(image):
                raise DatasetError(
                    f"the name of {printable(str(image))} is not UTF-8: rename the file, and its "
                    "label"
                )
        return self.splits[split]

    def without(self, split: str) -> str:
        """Why there is no such split, in one line."""
        if split in self.missing:
            return f"{self.data}: {self.missing[split]}"
        return f"{self.data} has no {split}: it has {', '.join(self.splits)}"

    def repaired(self) -> str:
        """A `data.yaml` that needs no repair, with absolute paths, as YAML."""
        content: dict[str, Any] = {"path": str(self.data.parent)}
        for split, sources in self.sources.items():
            paths = [str(source) for source in sources]
            content[split] = paths[0] if len(paths) == 1 else paths
        content["names"] = dict(enumerate(self.class_names))
        return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def has_utf8_name(path: Path) -> bool:
    """Whether the path can be written as text: on Linux, the name of a file is bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def label_of(image: Path) -> Path:
    """Where Ultralytics looks for an image's label: `…/images/…` becomes `…/labels/…`, `.txt`."""
    head, separator, tail = str(image).rpartition("/images/")
    return Path(f"{head}/labels/{tail}" if separator else str(image)).with_suffix(".txt")


def sha256_of_dataset(files: DatasetFiles, on_read: Callable[[int, int], None]) -> str:
    """What a data set is by its content: classes, and each split's images with their labels.

    The same content is the same data set, wherever it lies and whatever its files are called.

    Args:
        files: the data set.
        on_read: called after each image, with the number of images read and that of all.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256(json.dumps(files.class_names).encode())
    total, done = sum(map(len, files.splits.values())), 0
    for split, images in files.splits.items():
        pairs = []
        for image in images:
            label = label_of(image)
            pairs.append(tuple(sha256_of(one) if one.is_file() else "" for one in (image, label)))
            on_read(done := done + 1, total)
        digest.update(json.dumps([split, sorted(pairs)]).encode())
    return digest.hexdigest()


def sha256_of_layout(files: DatasetFiles) -> str:
    """How a data set was found to lie: what a check says that does not follow from its content."""
    folders = {label_of(image).parent for images in files.splits.values() for image in images}
    parts = {
        "splits": files.splits,
        "labels": {str(folder): sorted(folder.glob("*.txt")) for folder in folders},
        "sources": files.sources,
        "repairs": files.repairs,
        "missing": files.missing,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def find_dataset(data: Path) -> DatasetFiles:
    """The data set that a YAML file stands for.

    A `test` that is named and not there is left out, as exports name it always; a `train` or `val`
    is missing, and it is for those who need it to refuse.

    Raises:
        DatasetError: it stands for none; one line says why, and what to do.
    """
    content = _read(data)
    repairs: list[str] = []
    names = _class_names(data, content, repairs)
    sources: dict[str, tuple[Path, ...]] = {}
    splits: dict[str, tuple[Path, ...]] = {}
    missing: dict[str, str] = {}
    for split in SPLITS:
        try:
            if found := find_sources(data, content, split, repairs):
                splits[split], sources[split] = _images(data, split, found), found
        except NotThere as reason:
            missing[split] = str(reason)
    if "train" not in splits and "val" not in splits:
        why = missing.get("train") or missing.get("val")
        said = f"{data}: {why}" if why else f"{data} names neither `train` nor `val`"
        raise DatasetError(f"{said}: give at least one of them")
    if "test" in missing:
        repairs.append(f"{missing['test']}: left out")
    return DatasetFiles(data, names, splits, sources, tuple(repairs), missing)


def _read(data: Path) -> dict[str, Any]:
    if not data.is_file():
        raise DatasetError(f"no such file: {data}")
    if data.stat().st_size > _MAX_YAML_BYTES:
        raise DatasetError(f"{data} is no data.yaml: it has more than a mebibyte")
    try:
        content = yaml.safe_load(data.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise DatasetError(f"{data} is no YAML: it is not UTF-8 text") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise DatasetError(f"{data} is no YAML: {getattr(error, 'problem', error)}{line}") from None
    if not isinstance(content, dict):
        raise DatasetError(f"{data} is no data.yaml: it must map `train`, `val` and `names`")
    return content


def _class_names(data: Path, content: dict[str, Any], repairs: list[str]) -> tuple[str, ...]:
    names, count = content.get("names"), content.get("nc")
    if names is None:
        if not isinstance(count, int) or not 1 <= count <= _MOST_CLASSES:
            raise DatasetError(f"{data} has no `names`: list the classes in the order of their ids")
        repairs.append(f"`names` is missing: the {count} classes of `nc` are called class0 …")
        return tuple(f"class{number}" for number in range(count))
    if isinstance(names, list):
        found = [str(name) for name in names]
    elif isinstance(names, dict) and all(str(key).isdigit() for key in names):
        by_id = {int(key): str(name) for key, name in names.items()}
        last = max(by_id, default=-1)
        if last >= _MOST_CLASSES:
            raise DatasetError(
                f"{data}: `names` has a class {last}, and {_MOST_CLASSES} are the most"
            )
        found = [by_id.get(number, f"class{number}") for number in range(last + 1)]
        if missing := [number for number in range(len(found)) if number not in by_id]:
            ids = ", ".join(map(str, missing))
            repairs.append(f"`names` has no class {ids}: called class{missing[0]} …")
    else:
        raise DatasetError(f"{data}: `names` must be a list, or map class ids to names")
    if not found:
        raise DatasetError(f"{data}: `names` is empty: list the classes")
    if count is not None and count != len(found):
        repairs.append(f"`nc` is {count}, but there are {len(found)} names: the names count")
    return tuple(found)


def _images(data: Path, split: str, sources: tuple[Path, ...]) -> tuple[Path, ...]:
    found: set[Path] = set()
    for source in sources:
        if source.is_dir():
            found.update(path for path in source.rglob("*") if _is_image(path))
        elif _is_image(source):
            found.add(source)
        else:
            found.update(_listed(data, source))
    if not found:
        raise NotThere(f"there are no images in `{split}`: {', '.join(map(str, sources))}")
    return tuple(sorted(found))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _listed(data: Path, source: Path) -> Iterator[Path]:
    """The images that a list file names, a path a line, relative to the list or to the YAML.

    One that is not there is named all the same: it is for the check to say so.
    """
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise DatasetError(f"{source} is no list of images: it is not UTF-8 text") from None
    for name in filter(None, map(str.strip, lines)):
        places = [(folder / name).resolve() for folder in (source.parent, data.parent)]
        yield next((path for path in places if path.is_file()), places[0])

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

from db.errors import DatasetError
from db.files import sha256_of

# What Ultralytics reads: `IMG_FORMATS` of `ultralytics.data.utils`, those that need no further
# package.
IMAGE_SUFFIXES = frozenset(
    {".bmp", ".dng", ".jpeg", ".jpg", ".jp2", ".mpo", ".png", ".tif", ".tiff", ".webp"}
)

SPLITS = ("train", "val", "test")
_OTHER_NAMES = {"val": ("valid", "validation")}

# A data.yaml has some hundred lines; one of megabytes is something else.
_MAX_YAML_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """A data set as it was found.

    Attributes:
        data: its YAML file.
        class_names: name of each class; the index is the class id.
        splits: the images of each split that there is, sorted; of `SPLITS`, in that order.
        sources: the folders and list files that each split stands for.
        repairs: what the file says otherwise, or does not say; a sentence each.
    """

    data: Path
    class_names: tuple[str, ...]
    splits: Mapping[str, tuple[Path, ...]]
    sources: Mapping[str, tuple[Path, ...]]
    repairs: tuple[str, ...]

    def images(self, split: str) -> tuple[Path, ...]:
        """The images of one split.

        Raises:
            DatasetError: there is no such split.
        """
        if split not in self.splits:
            there = ", ".join(self.splits)
            raise DatasetError(f"{self.data} has no {split}: it has {there or 'no split at all'}")
        return self.splits[split]

    def repaired(self) -> str:
        """A `data.yaml` that needs no repair, with absolute paths, as YAML."""
        content: dict[str, Any] = {"path": str(self.data.parent)}
        for split, sources in self.sources.items():
            paths = [str(source) for source in sources]
            content[split] = paths[0] if len(paths) == 1 else paths
        content["names"] = dict(enumerate(self.class_names))
        return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


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


def find_dataset(data: Path) -> DatasetFiles:
    """The data set that a YAML file stands for.

    Raises:
        DatasetError: it stands for none; one line says why, and what to do.
    """
    content = _read(data)
    repairs: list[str] = []
    names = _class_names(data, content, repairs)
    sources: dict[str, tuple[Path, ...]] = {}
    for split in SPLITS:
        if found := _sources(data, content, split, repairs):
            sources[split] = found
    if "train" not in sources and "val" not in sources:
        raise DatasetError(f"{data} names neither `train` nor `val`: give at least one of them")
    splits = {split: _images(data, split, paths) for split, paths in sources.items()}
    return DatasetFiles(data, names, splits, sources, tuple(repairs))


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
        if not isinstance(count, int) or count < 1:
            raise DatasetError(f"{data} has no `names`: list the classes in the order of their ids")
        repairs.append(f"`names` is missing: the {count} classes of `nc` are called class0 …")
        return tuple(f"class{number}" for number in range(count))
    if isinstance(names, list):
        found = [str(name) for name in names]
    elif isinstance(names, dict) and all(str(key).isdigit() for key in names):
        by_id = {int(key): str(name) for key, name in names.items()}
        found = [by_id.get(number, f"class{number}") for number in range(max(by_id) + 1)]
        if missing := [number for number in range(len(found)) if number not in by_id]:
            repairs.append(f"`names` has no class {missing[0]}: it is called class{missing[0]}")
    else:
        raise DatasetError(f"{data}: `names` must be a list, or map class ids to names")
    if not found:
        raise DatasetError(f"{data}: `names` is empty: list the classes")
    if count is not None and count != len(found):
        repairs.append(f"`nc` is {count}, but there are {len(found)} names: the names count")
    return tuple(found)


def _sources(
    data: Path, content: dict[str, Any], split: str, repairs: list[str]
) -> tuple[Path, ...]:
    key = next((key for key in (split, *_OTHER_NAMES.get(split, ())) if content.get(key)), None)
    if key is None:
        return _unnamed(data, split, repairs)
    if key != split:
        repairs.append(f"the split `{key}` is called `{split}`")
    values = content[key] if isinstance(content[key], list) else [content[key]]
    found = []
    for value in values:
        candidates = list(_candidates(data, content.get("path"), str(value)))
        source = next((path for path in candidates if path.exists()), None)
        if source is None:
            raise DatasetError(f"{data}: `{key}` is not there: {candidates[0]}")
        if source != candidates[0]:
            repairs.append(f"`{key}` is not {candidates[0]}, but {source}")
        found.append(source)
    return tuple(found)


def _unnamed(data: Path, split: str, repairs: list[str]) -> tuple[Path, ...]:
    """Folders of a split that the file does not name, where people have them."""
    for name in (split, *_OTHER_NAMES.get(split, ())):
        for folder in (data.parent / "images" / name, data.parent / name / "images"):
            if folder.is_dir():
                repairs.append(f"`{split}` is missing: it is {folder}")
                return (folder,)
    return ()


def _candidates(data: Path, root: Any, value: str) -> Iterator[Path]:
    """Where a split may lie, what the file says first."""
    here = data.parent
    said = (here / str(root)).resolve() if root else here
    yield (said / value).resolve()
    yield (here / value).resolve()
    # Roboflow's exports say ../train/images, and have train/ beside the file.
    plain = value.lstrip("./")
    yield (said / plain).resolve()
    yield (here / plain).resolve()
    # A path of the machine that the set was made on: what follows the folder's name counts.
    parts = Path(value).parts
    for first in range(1, len(parts)):
        yield here.joinpath(*parts[first:])


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
        raise DatasetError(
            f"{data}: there are no images in `{split}`: {', '.join(map(str, sources))}"
        )
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

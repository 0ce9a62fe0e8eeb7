"""Where the images of a split lie: what a `data.yaml` says, and where people have them instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from db.one_line import printable

_NAMES = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_ALL_NAMES = frozenset(name for names in _NAMES.values() for name in names)


class NotThere(Exception):
    """A split that the file names has no images; the message says which, and where."""


def find_sources(
    data: Path, content: Mapping[str, Any], split: str, repairs: list[str]
) -> tuple[Path, ...]:
    """The folders and list files that a split stands for; none if there is no such split.

    Args:
        data: the YAML file.
        content: what is in it.
        split: `train`, `val` or `test`.
        repairs: gets a sentence for each thing that had to be put right.

    Raises:
        NotThere: one that the file names is not there.
    """
    key = next((key for key in _NAMES[split] if content.get(key)), None)
    if key is None:
        return _unnamed(data, split, repairs)
    if key != split:
        repairs.append(f"the split `{key}` is called `{split}`")
    values = content[key] if isinstance(content[key], list) else [content[key]]
    found = []
    for value in values:
        candidates = list(_candidates(data, content.get("path"), split, str(value)))
        source = next((path for path in candidates if path.exists()), None)
        if source is None:
            raise NotThere(f"`{key}` names {printable(str(value))}, which is not there")
        if source != candidates[0]:
            repairs.append(f"`{key}` is not {candidates[0]}, but {source}")
        found.append(source)
    return tuple(found)


def _unnamed(data: Path, split: str, repairs: list[str]) -> tuple[Path, ...]:
    """Folders of a split that the file does not name, where people have them."""
    for name in _NAMES[split]:
        for folder in (data.parent / "images" / name, data.parent / name / "images"):
            if folder.is_dir():
                repairs.append(f"`{split}` is missing: it is {folder}")
                return (folder,)
    return ()


def _candidates(data: Path, root: Any, split: str, value: str) -> Iterator[Path]:
    """Where a split may lie, what the file says first."""
    here = data.parent
    said = (here / str(root)).resolve() if root else here
    for spelled in (value, *_spelled_otherwise(split, value)):
        yield (said / spelled).resolve()
        yield (here / spelled).resolve()
        # Roboflow's exports say ../train/images, and have train/ beside the file.
        plain = spelled.lstrip("./")
        yield (said / plain).resolve()
        yield (here / plain).resolve()
        yield from _tails(here, Path(spelled).parts)


def _spelled_otherwise(split: str, value: str) -> Iterator[str]:
    """The path with the other names of its split: `images/valid` for `images/val`."""
    names, parts = _NAMES[split], Path(value).parts
    for name in names:
        yield str(Path(*(name if part in names else part for part in parts)))


def _tails(here: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Of a path of the machine that the set was made on, what may lie here as well.

    The name of a split stays in it: where there is no `test`, `images` alone is not what
    `../test/images` means, but the pictures of all splits.
    """
    named = [at for at, part in enumerate(parts) if Path(part).stem in _ALL_NAMES]
    last = named[-1] if named else len(parts) - 1
    for first in range(1, last + 1):
        yield here.joinpath(*parts[first:])

"""From sources (images, folders, globs) to images, and what these are together."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from db.dataset_files import IMAGE_SUFFIXES
from db.errors import UsageError
from db.files import sha256_of
from db.one_line import printable


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Images as they were found.

    Attributes:
        folder: that their names are relative to: the one source that is a folder, or what all
            sources have in common.
        names: of each image, sorted.
    """

    folder: Path
    names: tuple[str, ...]


def find_images(
    sources: Sequence[str],
    roots: Sequence[Path],
    on_left_out: Callable[[str], None] = lambda reason: None,
) -> ImageFiles:
    """The images that sources stand for, each once.

    A folder stands for the files in it and below that are named like images; a file that is named
    itself is taken whatever its name. Of a folder or a glob, what no row could name or nobody may
    read is left out.

    Args:
        sources: absolute paths.
        roots: folders that images must lie under, symbolic links resolved.
        on_left_out: called with why a file is left out, in one line.

    Raises:
        UsageError: a source stands for no image that can be taken.
    """
    anchors, paths = [], []
    for source in sources:
        anchor, found = _expand(Path(source))
        anchors.append(anchor)
        paths += _usable(found, roots, on_left_out)
    folder = Path(os.path.commonpath(anchors))
    return ImageFiles(folder, tuple(sorted({str(path.relative_to(folder)) for path in paths})))


def sha256_of_images(images: ImageFiles, on_read: Callable[[int], None]) -> str:
    """What images are by their names and contents, wherever their folder lies.

    Args:
        images: them.
        on_read: called after each, with the number of images read so far.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for done, name in enumerate(images.names, start=1):
        digest.update(json.dumps([name, sha256_of(images.folder / name)]).encode())
        on_read(done)
    return digest.hexdigest()


def _expand(source: Path) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the files that a source stands for."""
    anchor, pattern = _anchored(source)
    if not pattern:
        if not source.is_dir():
            return source.parent, [source]
        if found := sorted(_below(source)):
            return source, found
        suffixes = " ".join(sorted(IMAGE_SUFFIXES))
        raise UsageError(f"no images in folder {printable(str(source))} (looked for {suffixes})")
    matches = [
        anchor / match for match in sorted(glob.glob(pattern, root_dir=anchor, recursive=True))
    ]
    found = [path for match in matches for path in (_below(match) if match.is_dir() else [match])]
    if not found:
        raise UsageError(f"nothing matches {printable(str(source))}")
    return anchor, found


def _anchored(source: Path) -> tuple[Path, str]:
    """A path cut where a pattern begins: what is there under its very name is no pattern."""
    anchor = Path(source.anchor)
    parts = source.parts[1:]
    for place, part in enumerate(parts):
        if glob.has_magic(part) and not os.path.lexists(anchor / part):
            return anchor, os.path.join(*parts[place:])
        anchor /= part
    return anchor, ""


def _below(folder: Path) -> Iterator[Path]:
    return (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )


def _usable(
    paths: Sequence[Path], roots: Sequence[Path], on_left_out: Callable[[str], None]
) -> list[Path]:
    reasons = {path: reason for path in paths if (reason := _refusal(path, roots))}
    if len(reasons) == len(paths):
        raise UsageError(reasons[paths[0]])
    for reason in reasons.values():
        on_left_out(reason)
    return [path for path in paths if path not in reasons]


def _refusal(path: Path, roots: Sequence[Path]) -> str | None:
    """Why an image cannot be taken; None if it can."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return f"the name of {str(path)!r} is not UTF-8: rename the file"
    name = printable(str(path))
    try:
        resolved = path.resolve()
    except (ValueError, RuntimeError):  # a null byte in the name; links that go round in a circle
        return f"no such file: {name}"
    if not resolved.is_file():
        return f"not a regular file: {name}" if resolved.exists() else f"no such file: {name}"
    if not any(resolved.is_relative_to(root) for root in roots):
        allowed = ", ".join(map(str, roots))
        return f"{name} lies outside the allowed folders ({allowed}; NIGHTSHELF_ROOTS)"
    return None

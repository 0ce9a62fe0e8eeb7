"""From what was typed (files, globs, folders) to files that workers may read."""

from __future__ import annotations

import glob
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from db.dataset_files import DatasetFiles, find_dataset
from db.errors import UsageError
from db.one_line import printable
from db.settings import settings

log = logging.getLogger(__name__)

LeavingOut = Callable[[str], None]
"""Called with why a file is left out, in one line."""

# The containers that the worker opens; anything else in a folder is passed over.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg"}
)


def regular_file(path: Path) -> Path:
    """The file with symbolic links resolved.

    Raises:
        UsageError: it does not exist, is no regular file, lies outside the roots, or has a name
            that no row can hold.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UsageError(f"the name of {str(path)!r} is not UTF-8: rename the file") from None
    name = printable(str(path))
    if not path.exists():
        raise UsageError(f"no such file: {name}")
    resolved = path.resolve()
    if not resolved.is_file():
        raise UsageError(f"not a regular file: {name}")
    roots = settings().root_paths
    if not any(resolved.is_relative_to(root) for root in roots):
        allowed = ", ".join(map(str, roots))
        raise UsageError(f"{name} lies outside the allowed folders ({allowed}; NIGHTSHELF_ROOTS)")
    return resolved


def named_dataset(data: str | Path) -> DatasetFiles:
    """The data set that a YAML file stands for; what had to be put right is logged.

    Raises:
        UsageError: no such file, or it lies outside the roots.
        DatasetError: the file stands for no data set.
    """
    files = find_dataset(regular_file(Path(data).expanduser()))
    for repair in files.repairs:
        log.warning("%s: %s", files.data, repair)
    return files


def log_left_out(reason: str) -> None:
    """Say in the log that a file is left out."""
    log.warning("left out: %s", reason)


def find_videos(
    sources: Iterable[str | Path], on_left_out: LeavingOut = log_left_out
) -> list[Path]:
    """The video files that files, globs and folders stand for, each once, in order.

    A folder stands for the files in it and below that are named like videos; a file that is
    named itself is taken whatever its name. Of a folder or a glob, what a worker could not be told
    of or may not read is left out: one file must not keep a night's footage from being tracked.

    Raises:
        UsageError: a source stands for nothing that can be taken, or there is none.
    """
    found: dict[Path, None] = {}
    for source in sources:
        if not str(source):
            raise UsageError("an empty name is no video: is a variable unset?")
        for path in _usable(Path(source).expanduser(), on_left_out):
            found[path] = None
    if not found:
        raise UsageError("no videos were named: name files, globs or folders")
    return list(found)


def _usable(source: Path, on_left_out: LeavingOut) -> list[Path]:
    files: list[Path] = []
    reasons: list[str] = []
    for path in _expand(source):
        try:
            files.append(regular_file(path))
        except UsageError as refusal:
            reasons.append(str(refusal))
    if not files:
        raise UsageError(reasons[0])
    for reason in reasons:
        on_left_out(reason)
    return files


def _expand(source: Path) -> list[Path]:
    if source.is_dir():
        below = sorted(
            path
            for path in source.rglob("*")
            if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
        )
        if not below:
            suffixes = " ".join(sorted(VIDEO_SUFFIXES))
            raise UsageError(
                f"no videos in folder {printable(str(source))} (looked for {suffixes})"
            )
        return below
    if source.exists() or not glob.has_magic(str(source)):
        return [source]
    matches = [Path(match) for match in sorted(glob.glob(str(source), recursive=True))]
    if not matches:
        raise UsageError(f"nothing matches {printable(str(source))}")
    return [path for match in matches for path in _expand(match)]

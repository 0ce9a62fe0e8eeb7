"""From what was typed (files, globs, folders) to files that workers may read."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from db.errors import UsageError
from db.settings import settings

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
    if not path.exists():
        raise UsageError(f"no such file: {path}")
    resolved = path.resolve()
    if not resolved.is_file():
        raise UsageError(f"not a regular file: {path}")
    roots = settings().root_paths
    if not any(resolved.is_relative_to(root) for root in roots):
        allowed = ", ".join(map(str, roots))
        raise UsageError(f"{path} lies outside the allowed folders ({allowed}; NIGHTSHELF_ROOTS)")
    return resolved


def find_videos(sources: Iterable[str | Path]) -> list[Path]:
    """The video files that files, globs and folders stand for, each once, in order.

    A folder stands for the files in it and below that are named like videos; a file that is
    named itself is taken whatever its name.

    Raises:
        UsageError: a source stands for nothing, or there is none.
    """
    found: dict[Path, None] = {}
    for source in sources:
        if not str(source):
            raise UsageError("an empty name is no video: is a variable unset?")
        for path in _expand(Path(source).expanduser()):
            found[regular_file(path)] = None
    if not found:
        raise UsageError("no videos were named: name files, globs or folders")
    return list(found)


def _expand(source: Path) -> list[Path]:
    if source.is_dir():
        below = sorted(
            path
            for path in source.rglob("*")
            if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
        )
        if not below:
            suffixes = " ".join(sorted(VIDEO_SUFFIXES))
            raise UsageError(f"no videos in folder {source} (looked for {suffixes})")
        return below
    if source.exists() or not glob.has_magic(str(source)):
        return [source]
    matches = [Path(match) for match in sorted(glob.glob(str(source), recursive=True))]
    if not matches:
        raise UsageError(f"nothing matches {source}")
    return [path for match in matches for path in _expand(match)]

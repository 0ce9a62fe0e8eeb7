"""The content of a video, read once by each runner however many of its segments it looks at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from db.files import sha256_of

_Identity = tuple[Path, int, int, int, int, int]

# A video of an hour takes seconds to read, and is cut into segments that come one after another.
# A handful: several videos may be under way at once.
_REMEMBERED = 32
_known: dict[_Identity, str] = {}


def content_of(path: Path, on_progress: Callable[[int], None]) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits.

    A file that was read before and has kept its inode, size, modification and change time is not
    read again: the change time is the kernel's, and no program sets it.

    Args:
        path: the file, symbolic links resolved.
        on_progress: called with the number of bytes read so far.

    Raises:
        OSError: the file cannot be read.
    """
    identity = _identity(path)
    if identity in _known:
        return _known[identity]
    digest = sha256_of(path, on_progress)
    if _identity(path) == identity:  # else it was being written
        while len(_known) >= _REMEMBERED:
            del _known[next(iter(_known))]
        _known[identity] = digest
    return digest


def _identity(path: Path) -> _Identity:
    found = path.stat()
    return (
        path,
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )

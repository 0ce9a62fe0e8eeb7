"""What a file holds, in 64 characters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

# Large enough that reading costs little, small enough that progress is smooth.
_CHUNK_BYTES = 2**20


def sha256_of(path: Path, on_progress: Callable[[int], None] | None = None) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits.

    Args:
        path: the file.
        on_progress: called after each MiB with the number of bytes read so far.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            if on_progress is not None:
                on_progress(done)
    return digest.hexdigest()

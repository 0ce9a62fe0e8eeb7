"""Whether a file that a spec names may be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from db.errors import UsageError
from db.one_line import printable


def allowed_file(path: Path, roots: Sequence[Path]) -> Path:
    """The regular file that `path` leads to, symbolic links resolved.

    Raises:
        UsageError: there is none, or it lies outside the roots.
    """
    name = printable(str(path))
    try:
        resolved = path.resolve()
    except (ValueError, RuntimeError):  # a null byte in the name; links that go round in a circle
        raise UsageError(f"no such file: {name}") from None
    if not resolved.is_file():
        raise UsageError(f"no such file: {name}")
    if not any(resolved.is_relative_to(root) for root in roots):
        raise UsageError(f"{name} lies outside the allowed folders (NIGHTSHELF_ROOTS)")
    return resolved

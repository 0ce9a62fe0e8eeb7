"""A file that a job left behind, as its result names it."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from db.files import sha256_of
from db.specs import Sha256


class FileFacts(BaseModel):
    """A file in the attempt's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    sha256: Sha256
    size_bytes: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The facts of a file that is there.

        Raises:
            OSError: it cannot be read.
        """
        return cls(name=path.name, sha256=sha256_of(path), size_bytes=path.stat().st_size)

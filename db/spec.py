"""What the specs of all job kinds have in common."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from pathlib import PurePosixPath
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from db.one_line import printable

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def _absolute(path: str) -> str:
    if not PurePosixPath(path).is_absolute():
        raise ValueError(f"the path must be absolute, not {path!r}")
    return path


AbsolutePath = Annotated[str, AfterValidator(_absolute)]


def shown(path: str) -> str:
    """The name of a file, on one line whatever is in it."""
    return printable(PurePosixPath(path).name)


class Priority(IntEnum):
    """Which of the waiting jobs go first; each priority is a queue of its own in the broker."""

    LOW = 1
    NORMAL = 2
    HIGH = 3


class QueueClass(StrEnum):
    """What a job needs of the worker that takes it."""

    GPU = "gpu"
    CPU = "cpu"


class Spec(BaseModel):
    """What every job kind has in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    queue_class: ClassVar[QueueClass]
    addresses: ClassVar[frozenset[str]] = frozenset()
    """Fields that say where an input is found, and not what is in it."""

    kind: str

    @property
    def label(self) -> str:
        """The few words by which a person knows the job in a list or in Flower."""
        raise NotImplementedError

"""What a training tells as it goes, and the file in which processes of its own tell it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from db.training_results import EpochFacts

JOURNAL = "journal.jsonl"
"""In the trainer's folder: what its processes tell, where it has several."""


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Advanced(_Event):
    """A batch was trained on, or validated.

    Attributes:
        epoch: from 1.
        batch: how many of its batches were trained on.
        batches: that it has.
    """

    type: Literal["advanced"] = "advanced"
    epoch: int
    batch: int
    batches: int


class EpochDone(_Event):
    """An epoch has ended, and its checkpoint lies there."""

    type: Literal["epoch done"] = "epoch done"
    facts: EpochFacts
    checkpoint: Path


class Failed(_Event):
    """A process of the training raised, in words for people."""

    type: Literal["failed"] = "failed"
    error: str
    permanent: bool


Event = Annotated[Advanced | EpochDone | Failed, Field(discriminator="type")]
_event: TypeAdapter[Event] = TypeAdapter(Event)


class Journal:
    """A file of events, a line each: written by some processes, and read by another meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def write(self, event: Event) -> None:
        """Add an event; several processes may, since a line goes out in one piece."""
        with self._path.open("ab", buffering=0) as file:
            file.write(event.model_dump_json().encode() + b"\n")

    def news(self) -> Iterator[Event]:
        """The events since the last look; of a line that is not whole yet, none."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                yield _event.validate_json(line)

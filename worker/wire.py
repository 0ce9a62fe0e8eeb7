"""What a worker and its runner say to each other: one JSON object a line, over a pipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from db.results import RunnerResult
from db.specs import AnySpec


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Run(_Message):
    """To the runner: run this job. Paths are absolute."""

    type: Literal["run"] = "run"
    job_id: int
    attempt: int
    spec: Annotated[AnySpec, Field(discriminator="kind")]
    home: str
    folder: str
    roots: tuple[str, ...]
    segment_s: float


class Stop(_Message):
    """To the runner: stop at the next checkpoint."""

    type: Literal["stop"] = "stop"


class Advanced(_Message):
    """From the runner: how far the job is."""

    type: Literal["advanced"] = "advanced"
    done: float
    total: float | None = None
    unit: str | None = None
    note: str | None = None


class Done(_Message):
    """From the runner: the job succeeded."""

    type: Literal["done"] = "done"
    result: RunnerResult


class Broke(_Message):
    """From the runner: the job raised."""

    type: Literal["broke"] = "broke"
    error: str
    traceback: str | None = None
    permanent: bool = False


class Halted(_Message):
    """From the runner: the job stopped at a checkpoint, as it was told to."""

    type: Literal["halted"] = "halted"


ToRunner = Run | Stop
FromRunner = Advanced | Done | Broke | Halted
to_runner: TypeAdapter[ToRunner] = TypeAdapter(Annotated[ToRunner, Field(discriminator="type")])
from_runner: TypeAdapter[FromRunner] = TypeAdapter(
    Annotated[FromRunner, Field(discriminator="type")]
)

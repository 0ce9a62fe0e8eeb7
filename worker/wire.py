"""What a worker and its runner say to each other: one JSON object a line, over a pipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from db.results import RunnerResult
from db.specs import AnySpec
from db.training_results import EpochFacts


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Resume(_Message):
    """What a training that was begun before goes on with.

    Attributes:
        epochs: those that are done.
        last: path of the checkpoint of the last of them.
        best: path of that of the best.
    """

    epochs: tuple[EpochFacts, ...]
    last: str
    best: str


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
    resume: Resume | None = None


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


class EpochEnded(_Message):
    """From the runner: an epoch of a training is done.

    Attributes:
        epoch: how it went.
        checkpoint: name of a file in the attempt's folder, which is the worker's from now on.
    """

    type: Literal["epoch ended"] = "epoch ended"
    epoch: EpochFacts
    checkpoint: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")


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
FromRunner = Advanced | EpochEnded | Done | Broke | Halted
to_runner: TypeAdapter[ToRunner] = TypeAdapter(Annotated[ToRunner, Field(discriminator="type")])
from_runner: TypeAdapter[FromRunner] = TypeAdapter(
    Annotated[FromRunner, Field(discriminator="type")]
)

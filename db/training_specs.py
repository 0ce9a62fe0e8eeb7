"""What may be asked of a training."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from db.spec import AbsolutePath, QueueClass, Sha256, Spec
from db.training_settings import Value, check_setting

# What Ultralytics takes by default, and for `auto` where there is no GPU.
BATCH_ON_CPU = 16


class Extension(BaseModel):
    """The training that another one goes on with.

    Attributes:
        job_id: that training.
        epochs: the number of its last epoch.
        checkpoint: address of its last checkpoint, with the optimiser's state.
        sha256: of that file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_id: int
    epochs: int = Field(ge=1)
    checkpoint: str
    sha256: Sha256


class TrainSpec(Spec):
    """Train a model on a data set; the arguments are Ultralytics' own."""

    queue_class: ClassVar[QueueClass] = QueueClass.GPU
    addresses: ClassVar[frozenset[str]] = frozenset({"base", "data", "dataset"})

    kind: Literal["train"] = "train"
    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="of which it becomes the next version"
    )
    base: str = Field(min_length=1, description="the model that it begins with, as it was asked")
    base_sha256: Sha256 | None = None
    architecture: str | None = Field(
        None,
        pattern=r"^yolov8[nsmlx](-p2|-p6)?\.yaml$",
        description="what is trained from scratch, instead of a model",
    )
    dataset: str = Field(min_length=1, description="what people call the data set")
    data: AbsolutePath = Field(description="the data set's YAML file")
    dataset_sha256: Sha256
    epochs: int = Field(100, ge=1, le=100_000, description="the number of the last epoch")
    imgsz: int = Field(640, ge=32, le=4096, multiple_of=32, description="of the images, pixels")
    batch: Literal["auto"] | int = Field(BATCH_ON_CPU, description="images at once")
    patience: int = Field(
        100, ge=0, description="epochs without a better one after which it stops; 0: never"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1)
    device: str | None = Field(
        None,
        pattern=r"^(cpu|cuda(:\d+)?|\d+(,\d+)*)$",
        description="`cpu`, `cuda:0`; `0,1` for several; the worker's own if None",
    )
    settings: dict[str, Value] = Field({}, description="further arguments of Ultralytics'")
    extends: Extension | None = None

    @field_validator("batch", mode="before")
    @classmethod
    def _some_images(cls, batch: Any) -> Any:
        if batch != "auto" and (type(batch) is not int or batch < 1):
            raise ValueError(f"the batch must be a number from 1, or auto, not {batch}")
        return batch

    @field_validator("settings")
    @classmethod
    def _known_settings(cls, settings: dict[str, Value]) -> dict[str, Value]:
        for name, value in settings.items():
            check_setting(name, value)
        return settings

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.base_sha256 is None) == (self.architecture is None):
            raise ValueError("a training begins with a model, or with an architecture")
        if self.extends and self.epochs <= self.extends.epochs:
            raise ValueError(f"epoch {self.epochs} was trained already: there must be more")
        return self

    @property
    def label(self) -> str:
        """The few words by which a person knows the job in a list or in Flower."""
        return f"{self.name} from {self.base} on {self.dataset}"

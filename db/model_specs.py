"""What may be asked of a model: that it be registered, or measured."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from db.spec import AbsolutePath, QueueClass, Sha256, Spec, shown


class RegisterSpec(Spec):
    """Open a checkpoint, see what it is, and keep it under its content."""

    queue_class: ClassVar[QueueClass] = QueueClass.CPU
    addresses: ClassVar[frozenset[str]] = frozenset({"weights"})

    kind: Literal["register"] = "register"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    weights: AbsolutePath
    weights_sha256: Sha256

    @property
    def label(self) -> str:
        """The few words by which a person knows the job in a list or in Flower."""
        return f"{shown(self.weights)} as {self.name}"


class MeasuringSpec(Spec):
    """On what models are measured, and how; the arguments are Ultralytics' own."""

    queue_class: ClassVar[QueueClass] = QueueClass.GPU

    name: str = Field(min_length=1, description="what people call the data set")
    data: AbsolutePath = Field(description="the data set's YAML file")
    dataset_sha256: Sha256
    split: Literal["train", "val", "test"] = "val"
    imgsz: int = Field(640, ge=32, le=4096, multiple_of=32, description="inference size, pixels")
    batch: int = Field(16, ge=1, description="images at once; changes how they are padded")
    conf: float = Field(0.001, gt=0, lt=1, description="detections below this do not count")
    iou: float = Field(0.7, gt=0, le=1, description="IoU above which NMS drops the weaker box")
    max_det: int = Field(300, ge=1, description="the most boxes that an image may have")
    device: str | None = Field(None, description="`cpu`, `cuda:0`; the worker's own if None")


class EvaluateSpec(MeasuringSpec):
    """Measure a model on a split of a data set."""

    addresses: ClassVar[frozenset[str]] = frozenset({"model", "data", "name"})

    kind: Literal["evaluate"] = "evaluate"
    model: str = Field(description="the name under which the model was registered")
    model_sha256: Sha256

    @property
    def label(self) -> str:
        """The few words by which a person knows the job in a list or in Flower."""
        return f"{self.model} on {self.name} {self.split}"

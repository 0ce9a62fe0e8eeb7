"""What may be asked about images: what a model sees in them."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from db.spec import AbsolutePath, QueueClass, Sha256, Spec, shown


class PredictSpec(Spec):
    """Look at images with a model; the arguments are Ultralytics' own."""

    queue_class: ClassVar[QueueClass] = QueueClass.GPU
    addresses: ClassVar[frozenset[str]] = frozenset({"model", "sources"})

    kind: Literal["predict"] = "predict"
    sources: tuple[AbsolutePath, ...] = Field(
        min_length=1, description="images, globs, or folders with all below them"
    )
    images_sha256: Sha256 = Field(description="of the names and contents of all images")
    model: str = Field(description="the name under which the model was registered")
    model_sha256: Sha256
    conf: float = Field(0.25, gt=0, lt=1, description="detections below this are dropped")
    iou: float = Field(0.7, gt=0, le=1, description="IoU above which NMS drops the weaker box")
    imgsz: int = Field(640, ge=32, le=4096, multiple_of=32, description="inference size, pixels")
    max_det: int = Field(300, ge=1, description="the most boxes that an image may have")
    classes: tuple[str, ...] | None = Field(None, min_length=1, description="all if None")
    device: str | None = Field(None, description="`cpu`, `cuda:0`; the worker's own if None")
    annotate: bool = Field(True, description="write the images with their boxes drawn")

    @property
    def label(self) -> str:
        """The few words by which a person knows the job in a list or in Flower."""
        others = f" and {len(self.sources) - 1} more" if len(self.sources) > 1 else ""
        return f"{shown(self.sources[0])}{others} with {self.model}"

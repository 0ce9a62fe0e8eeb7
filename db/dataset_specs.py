"""What may be asked of a data set: that it be looked through."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from db.spec import AbsolutePath, QueueClass, Sha256, Spec


class CheckSpec(Spec):
    """Look through a data set for what is wrong with it."""

    queue_class: ClassVar[QueueClass] = QueueClass.CPU
    addresses: ClassVar[frozenset[str]] = frozenset({"data", "name"})

    kind: Literal["check"] = "check"
    name: str = Field(min_length=1, description="what people call it")
    data: AbsolutePath = Field(description="its YAML file")
    dataset_sha256: Sha256

    @property
    def label(self) -> str:
        """The few words by which a person knows the job in a list or in Flower."""
        return f"{self.name} ({self.dataset_sha256[:12]})"

"""What may be asked of a data set: that it be looked through."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from db.spec import AbsolutePath, QueueClass, Sha256, Spec


class CheckSpec(Spec):
    """Look through a data set for what is wrong with it, and with the file that describes it.

    So that file is part of what is asked for, and not only an address: two may stand for the same
    images.
    """

    queue_class: ClassVar[QueueClass] = QueueClass.CPU

    kind: Literal["check"] = "check"
    name: str = Field(min_length=1, description="what people call it")
    data: AbsolutePath = Field(description="its YAML file")
    dataset_sha256: Sha256
    layout_sha256: Sha256 | None = Field(
        None, description="of its files' names and what its YAML file says; null in jobs of old"
    )

    @property
    def label(self) -> str:
        """The few words by which a person knows the job in a list or in Flower."""
        return f"{self.name} ({self.dataset_sha256[:12]})"

"""What may be asked of several models: that they be compared on the same images."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from db.model_specs import MeasuringSpec
from db.spec import Sha256

_MATCH_IOUS = tuple(step / 100 for step in range(50, 100, 5))


class CompareSpec(MeasuringSpec):
    """Measure models on the same images of a data set; the first is the base of all differences."""

    addresses: ClassVar[frozenset[str]] = frozenset({"models", "data", "name"})

    kind: Literal["compare"] = "compare"
    models: tuple[str, ...] = Field(min_length=2, description="what people call them")
    model_sha256s: tuple[Sha256, ...] = Field(min_length=2)
    class_map: dict[str, str] = Field(
        default_factory=dict,
        description="a class of a model, and what the data set calls it",
    )
    at: float | None = Field(
        None, gt=0, lt=1, description="count boxes from this on; each model's best F1 if None"
    )
    match_iou: float = Field(0.5, description="count boxes as right from this IoU on")

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if len(self.models) != len(self.model_sha256s):
            raise ValueError("each model must have a sha256")
        if len(set(self.model_sha256s)) != len(self.model_sha256s):
            raise ValueError(
                f"{' and '.join(self._same())} are the same model: give each model once"
            )
        if len(set(self.models)) != len(self.models):
            raise ValueError(f"two models have one name: {', '.join(self.models)}")
        if self.match_iou not in _MATCH_IOUS:
            shown = ", ".join(map(str, _MATCH_IOUS))
            raise ValueError(f"match_iou must be one of {shown}, not {self.match_iou}")
        return self

    def _same(self) -> list[str]:
        """The names of the first model that is there more than once."""
        first = next(one for one in self.model_sha256s if self.model_sha256s.count(one) > 1)
        pairs = zip(self.models, self.model_sha256s, strict=True)
        return [name for name, sha256 in pairs if sha256 == first]

    @property
    def label(self) -> str:
        """The few words by which a person knows the job in a list or in Flower."""
        base, *others = self.models
        return f"{', '.join(others)} with {base} on {self.name} {self.split}"

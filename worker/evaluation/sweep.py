"""Precision, recall and F1 against the confidence from which on a box counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

# Ultralytics smooths the mean F1 over a tenth of the confidences before it looks for the highest.
_SMOOTHED = 0.1
# How finely the curves are kept in SQL; `sweep.parquet` has all of their points.
_STEPS = 100


@dataclass(frozen=True, slots=True)
class Sweep:
    """Ultralytics' curves at IoU 0.5, of the classes that the split has objects of.

    Above the most confident box of a class its precision is 1, its recall 0.

    Attributes:
        class_ids: k of them, the model's.
        confidence: float64 (1000,), from 0 to 1.
        precision, recall, f1: float64 (k, 1000).
    """

    class_ids: tuple[int, ...]
    confidence: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]

    @property
    def best_confidence(self) -> float | None:
        """The confidence of the highest mean F1: the one of Ultralytics' precision and recall.

        None if nothing is found at any confidence.
        """
        return self._best(self.f1.mean(0))

    def best_confidence_of(self, class_id: int) -> float | None:
        """The confidence of a class's highest F1, found in the same way."""
        return self._best(self.f1[self.class_ids.index(class_id)])

    def _best(self, f1: NDArray[np.float64]) -> float | None:
        from ultralytics.utils.metrics import smooth

        if not f1.any():
            return None
        return float(self.confidence[smooth(f1, _SMOOTHED).argmax()])

    def rows(self, names: Mapping[int, str]) -> pl.DataFrame:
        """A row for each class and confidence, and before them those of the mean (`class` null).

        Returns:
            columns `class`, `confidence`, `precision`, `recall`, `f1`.
        """
        tables = []
        for place, name in enumerate([None, *(names[number] for number in self.class_ids)]):
            curves = {"confidence": self.confidence}
            for curve in ("precision", "recall", "f1"):
                values = getattr(self, curve)
                curves[curve] = values.mean(0) if place == 0 else values[place - 1]
            tables.append(
                pl.DataFrame(curves).select(
                    pl.lit(name, pl.String).alias("class"), *map(pl.col, curves)
                )
            )
        return pl.concat(tables)

    def in_steps(self) -> NDArray[np.float64]:
        """The curves at the confidences 0, 0.01, ..., 1.

        Returns:
            float64 (k + 1, 101, 4): confidence, precision, recall and F1, of the mean and then of
            each class.
        """
        steps = np.arange(_STEPS + 1) / _STEPS
        found = np.empty((len(self.class_ids) + 1, len(steps), 4))
        found[:, :, 0] = steps
        for column, curves in enumerate((self.precision, self.recall, self.f1), start=1):
            for place, curve in enumerate([curves.mean(0), *curves]):
                found[place, :, column] = np.interp(steps, self.confidence, curve)
        return found

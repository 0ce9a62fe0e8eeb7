"""What a model saw in the images of a data set, beside what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

_SCHEMA = {
    "image": pl.String,
    "truth": pl.Boolean,
    "class": pl.String,
    "confidence": pl.Float32,
    "x1": pl.Float32,
    "y1": pl.Float32,
    "x2": pl.Float32,
    "y2": pl.Float32,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the model saw in one image, and what is in it.

    Attributes:
        image: the original file.
        width, height: of the image, in pixels.
        xyxy: float32 (n, 4), boxes in pixels of the image, the most confident first.
        confidence: float32 (n,), 0 to 1.
        class_id: int32 (n,), the model's.
        true_xyxy: float32 (m, 4), boxes of the objects in it.
        true_class_id: int32 (m,), the model's.
    """

    image: Path
    width: int
    height: int
    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int32]
    true_xyxy: NDArray[np.float32]
    true_class_id: NDArray[np.int32]


def seen_rows(seen: Iterable[Seen], names: Mapping[int, str]) -> pl.DataFrame:
    """A row for each box: those that the model saw, and those that are there (`truth`).

    Args:
        seen: of each image.
        names: class id to name.

    Returns:
        columns `image`, `truth`, `class`, `confidence` (null for those that are there), `x1`, `y1`,
        `x2`, `y2` in pixels of the image.
    """
    return pl.DataFrame(list(_rows(seen, names)), schema=_SCHEMA, orient="row")


def _rows(seen: Iterable[Seen], names: Mapping[int, str]) -> Iterator[tuple[object, ...]]:
    for one in seen:
        image = str(one.image)
        for xyxy, number in zip(one.true_xyxy.tolist(), one.true_class_id.tolist(), strict=True):
            yield (image, True, names[number], None, *xyxy)
        for xyxy, number, confidence in zip(
            one.xyxy.tolist(), one.class_id.tolist(), one.confidence.tolist(), strict=True
        ):
            yield (image, False, names[number], confidence, *xyxy)

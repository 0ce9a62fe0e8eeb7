"""A label file in YOLO's format: a line for each object, `class x y width height`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.datasets.problems import SEVERITY, Kind, Severity

# Six decimals are customary: a box along the edge may be so far outside by rounding alone.
_ROUNDING: Final = 1e-5

# Of x, y, width and height: what Ultralytics' `verify_image_label` takes, in float32.
_LOWEST: Final = -0.01
_HIGHEST: Final = 1.01


@dataclass(frozen=True, slots=True)
class Labels:
    """What a label file says.

    Attributes:
        rows: float64 (n, 5), class id, then x, y, width, height of the box in parts of the
            image (x and y of its centre): the lines without an error, each once.
        problems: kind and line, from 1, of each that has an error, or is unusual.
    """

    rows: NDArray[np.float64]
    problems: tuple[tuple[Kind, int], ...]


def read_labels(path: Path, classes: int) -> Labels:
    """Read a label file, as Ultralytics' `verify_image_label` does, and say what is wrong where.

    Polygons (`class x1 y1 x2 y2 …`) count as the box around them. For an error Ultralytics leaves
    the whole image out (but a box of no width or height it keeps); a test holds the two together.

    Args:
        path: the file.
        classes: how many classes there are.

    Raises:
        OSError: it cannot be read.
    """
    # Bytes that are no UTF-8 become what is no number.
    text = path.read_bytes().decode("utf-8-sig", "replace")
    numbered = enumerate(map(str.split, text.splitlines()), start=1)
    lines = [(number, fields) for number, fields in numbered if fields]
    polygons = any(len(fields) > 6 for _, fields in lines)
    boxes = [number for number, fields in lines if len(fields) == 5]
    problems = [(Kind.MIXED_SHAPES, boxes[0])] if polygons and boxes else []
    rows: list[NDArray[np.float64]] = []
    seen: set[tuple[float, ...]] = set()
    for number, fields in lines:
        row = _numbers(fields, polygons)
        if row is None:
            problems.append((Kind.MALFORMED_LINE, number))
            continue
        with np.errstate(all="ignore"):
            exact = row.astype(np.float32)
            found = list(_problems(exact, classes))
        key = tuple(exact.tolist())
        if key in seen:
            found.append(Kind.DUPLICATE_BOX)
        elif all(SEVERITY[kind] is Severity.WARNING for kind in found):
            seen.add(key)
            row[0] = exact[0]
            rows.append(_box_of(row))
        problems += [(kind, number) for kind in found]
    return Labels(np.array(rows, np.float64).reshape(-1, 5), tuple(problems))


def _numbers(fields: list[str], polygons: bool) -> NDArray[np.float64] | None:
    """The numbers of a line, if it is one of a box, or of a polygon where there are any."""
    try:
        row = np.array(tuple(map(float, fields)))
    except ValueError:
        return None
    if not np.isfinite(row).all():
        return None
    return row if len(row) == 5 or (polygons and len(row) >= 3 and len(row) % 2 == 1) else None


def _box_of(row: NDArray[Any]) -> NDArray[Any]:
    """The class and the box of a line: the numbers as they are, or the box around a polygon."""
    if len(row) == 5:
        return row
    xs, ys = row[1::2], row[2::2]
    left, right, top, bottom = xs.min(), xs.max(), ys.min(), ys.max()
    box = [row[0], (left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    return np.array(box, row.dtype)


def _problems(row: NDArray[np.float32], classes: int) -> Iterator[Kind]:
    number, x, y, width, height = _box_of(row).tolist()
    if len(row) != 5:
        yield Kind.SEGMENT
    if not number.is_integer():
        yield Kind.MALFORMED_LINE
    elif not 0 <= number < classes:
        yield Kind.CLASS_OUT_OF_RANGE
    if width <= 0 or height <= 0:
        yield Kind.DEGENERATE_BOX
    edges = (x - width / 2, x + width / 2, y - height / 2, y + height / 2)
    # Of numbers too large for float32 come nans, which are on neither side of anything.
    highest = all(one <= _HIGHEST for one in (x, y, width, height))
    if not (highest and x >= _LOWEST and y >= _LOWEST):
        yield Kind.BOX_OUTSIDE
    elif not all(-_ROUNDING <= edge <= 1 + _ROUNDING for edge in edges):
        yield Kind.OVER_THE_EDGE

"""A label file in YOLO's format: a line for each object, `class x y width height`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.datasets.problems import Kind

# Six decimals are customary: a box along the edge may be so far outside by rounding alone.
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class Labels:
    """What a label file says.

    Attributes:
        rows: float64 (n, 5), class id, then x, y, width, height of the box in parts of the
            image (x and y of its centre): the lines that are sound.
        problems: kind and line, from 1, of each that is not, or is unusual.
    """

    rows: NDArray[np.float64]
    problems: tuple[tuple[Kind, int], ...]


def read_labels(path: Path, classes: int) -> Labels:
    """Read a label file.

    Polygons (`class x1 y1 x2 y2 …`) count as the box around them, as Ultralytics takes them. A line
    of an unknown class, with a number that is none, or whose box leaves the image, is unsound:
    Ultralytics leaves the whole image out for it.

    Args:
        path: the file.
        classes: how many classes there are.

    Raises:
        OSError: it cannot be read.
    """
    rows: list[tuple[float, ...]] = []
    problems: list[tuple[Kind, int]] = []
    seen: set[tuple[float, ...]] = set()
    lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if not (fields := line.split()):
            continue
        row = _numbers(fields)
        if row is None:
            problems.append((Kind.MALFORMED_LINE, number))
            continue
        if len(row) > 5:
            problems.append((Kind.SEGMENT, number))
            row = _box_around(row)
        found = list(_unsound(row, classes))
        if row in seen:
            found.append(Kind.DUPLICATE_BOX)
        problems += [(kind, number) for kind in found]
        if not found:
            seen.add(row)
            rows.append(row)
    return Labels(np.array(rows, np.float64).reshape(-1, 5), tuple(problems))


def _numbers(fields: list[str]) -> tuple[float, ...] | None:
    """The numbers of a line: of a box, or of a polygon of three corners or more."""
    try:
        row = tuple(map(float, fields))
    except ValueError:
        return None
    is_polygon = len(row) >= 7 and len(row) % 2 == 1
    if not all(map(math.isfinite, row)) or not (len(row) == 5 or is_polygon):
        return None
    return row if row[0] == int(row[0]) else None


def _box_around(row: tuple[float, ...]) -> tuple[float, ...]:
    xs, ys = row[1::2], row[2::2]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    return (row[0], (left + right) / 2, (top + bottom) / 2, right - left, bottom - top)


def _unsound(row: tuple[float, ...], classes: int) -> Iterator[Kind]:
    number, x, y, width, height = row
    if not 0 <= number < classes:
        yield Kind.CLASS_OUT_OF_RANGE
    if width <= 0 or height <= 0:
        yield Kind.DEGENERATE_BOX
    edges = (x - width / 2, x + width / 2, y - height / 2, y + height / 2)
    if not all(-_ROUNDING <= edge <= 1 + _ROUNDING for edge in edges):
        yield Kind.BOX_OUTSIDE

"""How the plots of reports look: sizes, colours, bars and lines."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

matplotlib.use("agg")

Row = dict[str, Any]
Plot = tuple[str, bytes]
"""A title, and a PNG 1200 pixels wide."""

INCH_PX = 100
WIDTH = 12.0
COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2")
# More names than this are too small to read: the first and the last are shown.
_NAMES = 60


def bars(
    rows: Sequence[Row],
    names: Sequence[str],
    columns: dict[str, str],
    title: str,
    unit: str,
    *,
    whole: bool = False,
) -> bytes:
    """A bar for each row and column, names to the left."""
    places = ends(range(len(rows)), _NAMES)
    figure, axes = new_figure(1.8 + (0.2 + 0.2 * len(columns)) * len(places))
    values = {label: [rows[place][column] for place in places] for column, label in columns.items()}
    grouped(axes, [names[place] for place in places], values, "%d" if whole else "%.3f")
    axes.set_xlabel(unit)
    axes.set_title(title)
    if len(columns) > 1:
        axes.set_xlim(0, 1.08)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return png(figure)


def grouped(axes: Axes, names: Sequence[str], values: dict[str, list[float]], form: str) -> None:
    """Draw bars beside each other for each name, the values by what they are, with numbers."""
    thickness = 0.8 / len(values)
    places = np.arange(len(names))
    for number, (label, found) in enumerate(values.items()):
        shift = (number - (len(values) - 1) / 2) * thickness
        colour = COLOURS[number % len(COLOURS)]
        drawn = axes.barh(places + shift, found, thickness, label=label, color=colour)
        axes.bar_label(drawn, fmt=form, padding=3, fontsize=9)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.margins(x=0.12)


def line(
    axes: Axes,
    x: Sequence[float],
    rows: Sequence[Row],
    column: str,
    label: str,
    place: int,
    marker: str = ".",
) -> None:
    """Draw a column of rows against `x`."""
    # What is null (a loss that was not finite) is a gap.
    values = [np.nan if row[column] is None else row[column] for row in rows]
    axes.plot(x, values, marker=marker, label=label, color=COLOURS[place])


def ends(values: Sequence[Any], most: int) -> list[Any]:
    """The first and the last of too many."""
    found = list(values)
    return found if len(found) <= most else found[: most // 2] + found[-most // 2 :]


def new_figure(height: float) -> tuple[Figure, Axes]:
    """A figure of one plot, `height` in inches."""
    figure = Figure(figsize=(WIDTH, height), dpi=INCH_PX, layout="constrained")
    return figure, figure.subplots()


def png(figure: Figure) -> bytes:
    """The figure as PNG."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    written: Any = BytesIO()
    figure.savefig(written, format="png")
    return bytes(written.getvalue())

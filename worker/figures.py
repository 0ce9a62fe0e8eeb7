"""Figures as the pages of jobs have them: of a width in inches, as PNG."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INCH_PX = 100


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of one plot; width and height in inches of 100 pixels."""
    figure = Figure(figsize=(width, height), dpi=INCH_PX, layout="constrained")
    return figure, figure.subplots()


def png(figure: Figure) -> bytes:
    """The figure as PNG, its plots without the lines above and at the right."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    written: Any = BytesIO()
    figure.savefig(written, format="png")
    return bytes(written.getvalue())

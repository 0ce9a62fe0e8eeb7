"""Plots of the errors that a model makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from db.report_columns import BACKGROUND
from producer.plotting import COLOURS, INCH_PX, WIDTH, Plot, Row, grouped, new_figure, png
from producer.reporting import Report

_CONFUSED = 25


def error_plots(report: Report) -> Iterator[Plot]:
    """What each kind costs, which classes are taken for which, and which sizes are missed."""
    rows = report.rows.dicts()
    by_model = {
        f"{found[0]['model']}@{found[0]['model_version']}": {row["kind"]: row for row in found}
        for _, group in groupby(rows, key=lambda row: row["position"])
        if (found := list(group))
    }
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    figure = Figure(figsize=(WIDTH, 1.6 + 0.6 * len(kinds)), dpi=INCH_PX, layout="constrained")
    columns = {"map50_cost": "mAP50 lost", "count": "errors"}
    for axes, (column, unit) in zip(figure.subplots(1, 2), columns.items(), strict=True):
        values = {
            name: [found[kind][column] if kind in found else 0 for kind in kinds]
            for name, found in by_model.items()
        }
        grouped(axes, kinds, values, "%.3f" if column == "map50_cost" else "%d")
        axes.set(xlabel=unit)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_title("What errors cost" if column == "map50_cost" else "How often they are made")
    figure.axes[0].legend(title="model")
    yield "Kinds of errors", png(figure)
    if found := report.tables["confusion"].dicts():
        yield "Confusion", _confusion(found)
    if found := report.tables["misses"].dicts():
        yield "Misses by size", _misses(found)


def _confusion(rows: Sequence[Row]) -> bytes:
    totals: Counter[str | None] = Counter()
    for row in rows:
        for name in (row["true_class"], row["predicted_class"]):
            totals[name] += row["count"]
    # Background, which is None, last, as in Ultralytics' matrix.
    del totals[None]
    shown = sorted(name for name, _ in totals.most_common(_CONFUSED) if name is not None)
    names = [*shown, None]
    counts = np.full((len(names), len(names)), np.nan)
    for row in rows:
        if {row["true_class"], row["predicted_class"]} <= set(names):
            counts[names.index(row["true_class"]), names.index(row["predicted_class"])] = row[
                "count"
            ]
    figure, axes = new_figure(3.5 + 0.38 * len(names))
    drawn = axes.imshow(counts, cmap="Blues", vmin=0, aspect="auto")
    for y, x in np.argwhere(~np.isnan(counts)):
        dark = counts[y, x] > 0.6 * np.nanmax(counts)
        colour = "white" if dark else "black"
        axes.text(x, y, f"{counts[y, x]:.0f}", ha="center", va="center", color=colour, fontsize=9)
    labels = [*shown, BACKGROUND]
    axes.set_xticks(range(len(names)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), labels)
    axes.set(xlabel="seen as", ylabel="is")
    axes.set_title("Which classes are taken for which")
    figure.colorbar(drawn, ax=axes, label="boxes")
    return png(figure)


def _misses(rows: Sequence[Row]) -> bytes:
    sizes = ("small", "medium", "large")
    totals = {
        size: [
            sum(row[name] for row in rows if row["size"] == size)
            for name in ("instances", "found", "missed")
        ]
        for size in sizes
    }
    figure, axes = new_figure(3.2)
    found = [totals[size][1] for size in sizes]
    missed = [totals[size][2] for size in sizes]
    rest = [totals[size][0] - totals[size][1] - totals[size][2] for size in sizes]
    left = np.zeros(len(sizes))
    for label, values, colour in (
        ("found", found, COLOURS[2]),
        ("seen in the wrong place\nor as another class", rest, COLOURS[1]),
        ("missed", missed, COLOURS[4]),
    ):
        drawn = axes.barh(sizes, values, left=left, label=label, color=colour)
        axes.bar_label(drawn, [str(one) if one else "" for one in values], label_type="center")
        left += values
    axes.invert_yaxis()
    axes.set(xlabel="objects", ylabel="size of the object")
    axes.set_title(
        "What was found, by size (small: less than 32 by 32 pixels; large: from 96 by 96)"
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return png(figure)

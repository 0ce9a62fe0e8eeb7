"""Plots of a data set, as PNG: how often each class is seen, where, and how large."""

from __future__ import annotations

import matplotlib
import numpy as np
import polars as pl
from matplotlib.figure import Figure

from worker.figures import INCH_PX, new_figure, png

matplotlib.use("agg")

_COLOURS = {"train": "#4c78a8", "val": "#f58518", "test": "#54a24b"}
# More classes than this have names too small to read: the most and the least frequent are shown.
_CLASSES = 60
_BINS = 50


def class_distribution(counts: pl.DataFrame) -> bytes:
    """Instances of each class, a bar for each split.

    Args:
        counts: columns `split`, `class`, `instances`, of all classes, seen or not.
    """
    totals = (
        counts.group_by("class")
        .agg(pl.col("instances").sum())
        .sort(["instances", "class"], descending=[True, False])
    )
    names, title = totals["class"].to_list(), "How often each class is seen"
    if len(names) > _CLASSES:
        few = _CLASSES // 2
        title = f"How often the {few} most and the {few} least frequent of {len(names)} are seen"
        names = names[:few] + names[-few:]
    splits = counts["split"].unique(maintain_order=True).to_list()
    figure, axes = new_figure(12, 1.8 + 0.32 * len(names))
    places, thickness = np.arange(len(names)), 0.8 / max(1, len(splits))
    for number, split in enumerate(splits):
        by_class = dict(
            counts.filter(pl.col("split") == split).select("class", "instances").iter_rows()
        )
        values = [by_class.get(name, 0) for name in names]
        bars = axes.barh(
            places + (number - (len(splits) - 1) / 2) * thickness,
            values,
            thickness,
            label=split,
            color=_COLOURS[split],
        )
        axes.bar_label(bars, padding=3, fontsize=9)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlabel("instances")
    axes.set_title(title)
    axes.legend(title="split")
    axes.margins(x=0.08)
    return png(figure)


def box_sizes(objects: pl.DataFrame) -> bytes:
    """Width against height of the boxes, in % of the picture, and their shares of its area.

    Args:
        objects: columns `width` and `height`, in parts of the picture.
    """
    width, height = (objects[name].to_numpy() * 100 for name in ("width", "height"))
    figure = Figure(figsize=(12, 5), dpi=INCH_PX, layout="constrained")
    left, right = figure.subplots(1, 2)
    bins = np.linspace(0, 100, _BINS + 1)
    mesh = left.hist2d(width, height, bins=(bins, bins), cmin=1, cmap="viridis")[3]
    left.set(xlabel="width, % of the picture", ylabel="height, % of the picture")
    left.set_title("Sizes of the boxes")
    figure.colorbar(mesh, ax=left, label="boxes")
    edges = np.logspace(-3, 2, _BINS + 1)
    right.hist(np.clip(width * height / 100, edges[0], edges[-1]), bins=edges, color="#4c78a8")
    right.axvline(1, color="#e45756", linestyle="--", label="1 % of the picture")
    right.set(xscale="log", xlabel="area, % of the picture", ylabel="boxes")
    right.set_title("Areas of the boxes")
    right.legend()
    return png(figure)


def aspect_ratios(objects: pl.DataFrame) -> bytes:
    """Width over height of the boxes in pixels.

    Args:
        objects: columns `width`, `height` in parts of the picture, `image_width`, `image_height`.
    """
    ratio = objects.select(
        pl.col("width") * pl.col("image_width") / (pl.col("height") * pl.col("image_height"))
    ).to_series()
    figure, axes = new_figure(12, 4)
    edges = np.logspace(-1, 1, _BINS + 1)
    axes.hist(np.clip(ratio.to_numpy(), edges[0], edges[-1]), bins=edges.tolist(), color="#4c78a8")
    axes.set_xscale("log")
    ticks = {0.1: "1:10", 0.2: "1:5", 0.5: "1:2", 1: "1:1", 2: "2:1", 5: "5:1", 10: "10:1"}
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xticks([], minor=True)
    axes.set(xlabel="width : height, in pixels", ylabel="boxes")
    axes.set_title("Shapes of the boxes")
    return png(figure)


def centres(objects: pl.DataFrame) -> bytes:
    """Where in the picture the boxes' centres lie.

    Args:
        objects: columns `x` and `y`, of the centre, in parts of the picture.
    """
    figure, axes = new_figure(8, 7)
    bins = np.linspace(0, 100, _BINS // 2 + 1)
    x, y = (objects[name].to_numpy() * 100 for name in ("x", "y"))
    mesh = axes.hist2d(x, y, bins=(bins, bins), cmap="magma")[3]
    axes.invert_yaxis()  # as in the picture, y grows downwards
    axes.set_aspect("equal")
    axes.set(xlabel="x, % of the width", ylabel="y, % of the height")
    axes.set_title("Where the boxes' centres lie")
    figure.colorbar(mesh, ax=axes, label="boxes")
    return png(figure)

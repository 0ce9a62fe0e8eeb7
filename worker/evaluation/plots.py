"""Plots of what models get right and wrong, as PNG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from db.error_kinds import BoxSize, ErrorKind
from db.evaluation_results import ConfusionFacts, ErrorFacts, MissFacts
from db.one_line import printable
from db.report_columns import ALL, BACKGROUND
from worker.evaluation.panels import COLOURS
from worker.evaluation.sweep import Sweep
from worker.figures import INCH_PX, new_figure, png

matplotlib.use("agg")
# A class may have any name: `$` is no formula.
matplotlib.rcParams["text.parse_math"] = False

# More classes than these cannot be told apart by the colours of their lines, or be read in a grid.
_LINES, _CELLS = 10, 30
_LETTERS = 30

# A difference, and the ends of its interval.
_Difference = tuple[float, float | None, float | None]


def curves(sweep: Sweep, names: Mapping[int, str]) -> bytes:
    """Precision, recall and F1 against confidence: the mean, and the classes if they are few."""
    figure = Figure(figsize=(12, 4.2), dpi=INCH_PX, layout="constrained")
    best = sweep.best_confidence
    for axes, (title, values) in zip(
        figure.subplots(1, 3, sharey=True),
        {"precision": sweep.precision, "recall": sweep.recall, "F1": sweep.f1}.items(),
        strict=True,
    ):
        if len(sweep.class_ids) <= _LINES:
            for number, curve in zip(sweep.class_ids, values, strict=True):
                axes.plot(sweep.confidence, curve, linewidth=1.2, label=_label(names[number]))
        axes.plot(sweep.confidence, values.mean(0), color="black", linewidth=2.4, label="mean")
        if best is not None:
            axes.axvline(
                best, color="#777777", linestyle="--", linewidth=1, label=f"best F1: {best:.3f}"
            )
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel=title)
        axes.set_title(f"{title} against confidence, IoU 0.5")
        axes.tick_params(labelleft=True)
        axes.grid(alpha=0.3)
    figure.axes[-1].legend(fontsize=9, loc="lower left")
    return png(figure)


def confusion(cells: Sequence[ConfusionFacts], classes: Sequence[str], confidence: float) -> bytes:
    """How often each class is taken for each, coloured by its share of the row.

    Args:
        cells: what is taken for what.
        classes: in their order; of many, those with the most errors are shown.
        confidence: from which on boxes count.
    """
    # A class may have any name: nothing is None.
    shown = [*_most_confused(cells, classes), None]
    place = {name: number for number, name in enumerate(shown)}
    counts = np.zeros((len(shown), len(shown)), int)
    for cell in cells:
        row, column = cell.true_class, cell.predicted_class
        if row in place and column in place:
            counts[place[row], place[column]] += cell.count
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    side = 2.6 + 0.62 * len(shown)
    figure, axes = new_figure(min(12, side + 2.4), min(11, side))
    mesh = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (y, x), count in np.ndenumerate(counts):
        if count:
            ink = "white" if share[y, x] > 0.5 else "#222222"
            axes.text(x, y, f"{count:,}", ha="center", va="center", color=ink, fontsize=9)
    labels = [_label(BACKGROUND if name is None else name) for name in shown]
    axes.set_xticks(range(len(shown)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(shown)), labels)
    axes.set(xlabel="seen as", ylabel="what is there")
    axes.set_title(f"What is taken for what, from confidence {confidence:.2f} on")
    figure.colorbar(mesh, ax=axes, label="share of the row", shrink=0.8)
    return png(figure)


def _most_confused(cells: Sequence[ConfusionFacts], classes: Sequence[str]) -> list[str]:
    wrong: Counter[str | None] = Counter()
    for cell in cells:
        if cell.true_class != cell.predicted_class:
            wrong.update({cell.true_class: cell.count})
            wrong.update({cell.predicted_class: cell.count})
    kept = sorted(classes, key=lambda name: -wrong[name])[:_CELLS]
    return [name for name in classes if name in kept]


def errors(models: Mapping[str, Sequence[ErrorFacts]]) -> bytes:
    """Of each kind of error, how often it is made and what it costs; a bar for each model."""
    figure = Figure(figsize=(12, 1.4 + len(ErrorKind) * (0.2 + 0.22 * len(models))), dpi=INCH_PX)
    figure.set_layout_engine("constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    places, thickness = np.arange(len(ErrorKind)), 0.8 / len(models)
    for number, (name, found) in enumerate(models.items()):
        of = {one.kind: one for one in found}
        shifted = places + (number - (len(models) - 1) / 2) * thickness
        colours = [COLOURS[kind] for kind in ErrorKind] if len(models) == 1 else f"C{number}"
        for axes, values, form in (
            (left, [of[kind].count for kind in ErrorKind], "{:,.0f}"),
            (right, [of[kind].map50_cost * 100 for kind in ErrorKind], "{:.1f}"),
        ):
            bars = axes.barh(shifted, values, thickness, color=colours, label=_label(name))
            axes.bar_label(bars, fmt=form, padding=3, fontsize=9)
    left.set_yticks(places, list(ErrorKind))
    left.invert_yaxis()
    left.set_xlabel("errors")
    left.set_title("How often each error is made")
    right.set_xlabel("mAP50 lost, in points of 100")
    right.set_title("What each kind of error costs")
    for axes in (left, right):
        axes.margins(x=0.12)
    if len(models) > 1:
        right.legend(title="model")
    return png(figure)


def misses(found: Sequence[MissFacts], classes: Sequence[str]) -> bytes:
    """The share of objects that were not seen, by size; a bar for each class if they are few."""
    # A class may have any name: all of them are None.
    groups: dict[str | None, dict[BoxSize, tuple[int, int]]] = {}
    for one in found:
        for name in (None, *([one.class_name] if len(classes) <= _LINES else [])):
            sizes = groups.setdefault(name, {})
            instances, missed = sizes.get(one.size, (0, 0))
            sizes[one.size] = (instances + one.instances, missed + one.missed)
    figure, axes = new_figure(12, 4.2)
    order = [name for name in (None, *classes) if name in groups]
    thickness = 0.8 / len(order)
    for number, name in enumerate(order):
        pairs = [groups[name].get(size, (0, 0)) for size in BoxSize]
        values = [100 * missed / instances if instances else 0 for instances, missed in pairs]
        shifted = np.arange(len(BoxSize)) + (number - (len(order) - 1) / 2) * thickness
        label, colour = (ALL, "#444444") if name is None else (_label(name), None)
        bars = axes.bar(shifted, values, thickness * 0.95, label=label, color=colour)
        texts = [f"{missed}/{instances}" if instances else "" for instances, missed in pairs]
        axes.bar_label(bars, texts, padding=2, fontsize=9)
    labels = ("small: under 32² px", "medium: under 96² px", "large: 96² px and more")
    axes.set_xticks(range(len(BoxSize)), labels)
    axes.set(ylabel="not seen, % of the objects", xlabel="size of the object in the image")
    axes.set_title("Which objects are missed")
    axes.margins(y=0.15)
    axes.set_ylim(bottom=0)
    axes.legend(title="class")
    return png(figure)


def intervals(differences: Mapping[str, Mapping[str, _Difference]]) -> bytes:
    """Differences to the base with their 95 % intervals.

    Args:
        differences: of each metric, and each model: the difference, and the ends of the interval;
            None where there are too few images to tell.
    """
    models = list(next(iter(differences.values())))
    figure = Figure(figsize=(12, 1.9 + 0.5 * len(models)), dpi=INCH_PX, layout="constrained")
    for axes, (metric, found) in zip(
        np.atleast_1d(figure.subplots(1, len(differences), sharey=True)),
        differences.items(),
        strict=True,
    ):
        for place, name in enumerate(models):
            value, low, high = found[name]
            clear, text = "#777777", f"{100 * value:+.1f}  too few images"
            if low is not None and high is not None:
                clear = "#1b9e4b" if low > 0 else "#e0242b" if high < 0 else clear
                text = f"{100 * value:+.1f}  [{100 * low:+.1f}, {100 * high:+.1f}]"
                ends = [100 * low, 100 * high]
                axes.plot(ends, [place] * 2, color=clear, linewidth=3, solid_capstyle="butt")
            axes.plot([100 * value], [place], "o", color=clear, markersize=9)
            axes.annotate(
                text, (100 * value, place), (0, 9), textcoords="offset points", ha="center"
            )
        axes.axvline(0, color="black", linewidth=1)
        axes.set_yticks(range(len(models)), [_label(name) for name in models])
        axes.set_ylim(len(models) - 0.4, -0.7)
        axes.margins(x=0.15)
        axes.set_xlabel("difference to the base, in points of 100")
        axes.set_title(f"{metric}: difference and 95 % interval")
    return png(figure)


def _label(name: str) -> str:
    """A name as there is room for it: names of products differ in their ends, too."""
    shown = printable(name)
    half = _LETTERS // 2
    return shown if len(shown) <= _LETTERS else f"{shown[:half]}…{shown[1 - half :]}"

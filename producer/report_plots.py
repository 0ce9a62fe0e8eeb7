"""Plots of reports."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from db.report_columns import ALL
from producer.error_plots import error_plots
from producer.plotting import COLOURS, INCH_PX, WIDTH, Plot, bars, ends, line, new_figure, png
from producer.reporting import Report

_MARK = "#555555"
_LINES = 12
_MAP = {"map50": "mAP50 (IoU 0.5)", "map50_95": "mAP50-95 (IoU 0.5 to 0.95)"}


def plots(report: Report) -> list[Plot]:
    """The plots of a report; none where there is nothing to be seen."""
    if not report.rows.rows:
        return []
    # A class may be called "$1 or $2": that is no formula.
    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font does not have
        return list(_PLOTS[report.name](report))


def _models(report: Report) -> Iterator[Plot]:
    rows = report.rows.dicts()
    key = ("dataset", "dataset_content", "split")
    for (dataset, content, split), ranked in groupby(
        rows, key=lambda row: tuple(row[name] for name in key)
    ):
        found = list(ranked)
        names = [f"{row['model']}@{row['model_version']} ({row['stage']})" for row in found]
        title = f"Models on {dataset} {split} ({content})"
        yield title, bars(found, names, _MAP, title, "mean average precision")


def _training(report: Report) -> Iterator[Plot]:
    rows = report.rows.dicts()
    epochs = [row["epoch"] for row in rows]
    best = max((row["epoch"] for row in rows if row["best"]), default=None)
    figure = Figure(figsize=(WIDTH, 4.2), dpi=INCH_PX, layout="constrained")
    losses = {"box_loss": "box", "cls_loss": "class", "dfl_loss": "distribution focal"}
    for axes, (column, name) in zip(figure.subplots(1, 3), losses.items(), strict=True):
        line(axes, epochs, rows, column, "training", 0)
        line(axes, epochs, rows, f"val_{column}", "validation", 1)
        _epochs(axes, f"Loss: {name}", "loss", best)
    yield "Losses", png(figure)
    figure, axes = new_figure(4.6)
    columns = {"map50": "mAP50", "map50_95": "mAP50-95", "precision": "precision"}
    for place, (column, name) in enumerate((columns | {"recall": "recall"}).items()):
        line(axes, epochs, rows, column, name, place)
    axes.set_ylim(0, 1.02)
    _epochs(axes, "Metrics on the validation images", "metric", best)
    yield "Metrics", png(figure)
    figure, axes = new_figure(3.6)
    rates = [json.loads(row["learning_rates"]) for row in rows]
    for place in range(len(rates[0])):
        axes.plot(
            epochs,
            [one[place] for one in rates],
            marker=".",
            label=f"parameter group {place}",
            color=COLOURS[place % len(COLOURS)],
        )
    _epochs(axes, "Learning rates", "learning rate", best)
    yield "Learning rates", png(figure)


def _evaluation(report: Report) -> Iterator[Plot]:
    rows = [row for row in report.rows.dicts() if row["map50_95"] is not None]
    rows.sort(key=lambda row: -row["map50_95"])
    title = "Average precision of each class"
    names = [ALL if row["class"] is None else row["class"] for row in rows]
    yield title, bars(rows, names, _MAP, title, "average precision")
    swept = {
        name: list(found)
        for name, found in groupby(report.curves["sweep"].dicts(), key=lambda row: row["class"])
    }
    mean = swept.pop(None, None)
    if mean is None:  # it was measured before the sweep was kept
        return
    best = report.summaries["totals"]["best_confidence"]
    figure, axes = new_figure(4.8)
    confidence = [row["confidence"] for row in mean]
    for place, name in enumerate(("precision", "recall", "f1")):
        label = "F1" if name == "f1" else name
        line(axes, confidence, mean, name, label, place, marker="")
    _against_confidence(axes, "Precision, recall and F1, means over the classes", best)
    yield "Confidence", png(figure)
    figure, axes = new_figure(4.8)
    names = sorted(swept, key=lambda name: -max(row["f1"] for row in swept[name]))
    for place, name in enumerate(ends(names, _LINES)):
        confidence = [row["confidence"] for row in swept[name]]
        axes.plot(confidence, [row["f1"] for row in swept[name]], label=name, color=f"C{place}")
    _against_confidence(axes, "F1 of each class", best)
    axes.set_ylabel("F1")
    yield "F1 by class", png(figure)


def _detections(report: Report) -> Iterator[Plot]:
    rows = report.rows.dicts()
    counts = Counter(row["class"] for row in rows).most_common()
    found = [{"class": name, "detections": count} for name, count in counts]
    columns = {"detections": "detections"}
    title = "Detections of each class"
    names = [name for name, _ in counts]
    yield title, bars(found, names, columns, title, "detections", whole=True)
    figure, axes = new_figure(3.6)
    axes.hist(
        [row["confidence"] for row in rows], bins=np.linspace(0, 1, 51).tolist(), color=COLOURS[0]
    )
    axes.set(xlabel="confidence", ylabel="detections", xlim=(0, 1))
    axes.set_title("How confident the model is")
    yield "Confidence", png(figure)


def _epochs(axes: Axes, title: str, unit: str, best: int | None) -> None:
    if best is not None:
        axes.axvline(best, color=_MARK, linestyle=":", label=f"best epoch ({best})")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel=unit)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend()


def _against_confidence(axes: Axes, title: str, best: float | None) -> None:
    if best is not None:
        axes.axvline(best, color=_MARK, linestyle=":", label=f"highest mean F1 ({best:.2f})")
    axes.set(xlabel="confidence", ylabel="value", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


_PLOTS: dict[str, Callable[[Report], Iterator[Plot]]] = {
    "models": _models,
    "training": _training,
    "evaluation": _evaluation,
    "errors": error_plots,
    "detections": _detections,
}

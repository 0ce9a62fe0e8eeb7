"""Pictures and plots of an evaluation, whatever classes and files are called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from db.error_kinds import BoxSize
from db.evaluation_results import ConfusionFacts, MissFacts
from tests.boxes import SIZE, imagined
from tests.labelled import write_image
from tests.quiet import quiet_ultralytics
from worker.evaluation import plots
from worker.evaluation.analysis import Analysis, analyse
from worker.evaluation.differences import draw_differences
from worker.evaluation.worst import draw_worst

NAMES = {0: "$\\frac$ {", 1: "two\nlines\t", 2: "a name that is much longer than any box " * 3}


@pytest.fixture(autouse=True, scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quiet_ultralytics(tmp_path_factory.mktemp("home")):
        yield


def nothing() -> None:
    """Nobody wants it to stop."""


@pytest.fixture
def analyses(tmp_path: Path) -> dict[str, Analysis]:
    """Of two models on three images with odd names."""
    paths = [
        write_image(tmp_path / f"{number}\n$ {'x' * 200}.png", number, (SIZE, SIZE // 2))
        for number in range(3)
    ]
    found = {}
    for name, slack in (("good@1", 0.02), ("m" * 64 + "@1", 0.2)):
        seen = imagined(9, images=3, slack=slack)
        seen = [replace(one, image=path) for one, path in zip(seen, paths, strict=True)]
        found[name] = analyse(seen, NAMES, 0.3, nothing)
    return found


def width(picture: bytes) -> int:
    with Image.open(BytesIO(picture)) as opened:
        return opened.width


def test_images_are_drawn_whatever_they_hold(analyses: dict[str, Analysis], tmp_path: Path) -> None:
    analysis = analyses["good@1"]
    files = draw_worst(analysis, tmp_path, nothing)
    files += draw_differences(analyses, tmp_path, nothing)
    files += draw_differences(
        {**analyses, "third@1": analysis, "fourth@1": analysis}, tmp_path, nothing
    )
    assert len(files) == 9
    assert {width(path.read_bytes()) for path in files} == {1200}


def test_plots_are_no_wider_than_a_page(analyses: dict[str, Analysis]) -> None:
    analysis = analyses["good@1"]
    names = list(NAMES.values())
    interval = {"m" * 66: (0.1, -0.1, 0.2), "two@1": (0.0, None, None)}
    drawn = [
        plots.errors({name: one.errors for name, one in analyses.items()}),
        plots.confusion(analysis.confusion, names, 0.3),
        plots.misses(analysis.misses, names),
        plots.intervals({"mAP50": interval, "mAP50-95": interval}),
    ]
    assert all(width(one) <= 1200 for one in drawn)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots as they are before they are pixels."""
    monkeypatch.setattr(plots, "png", lambda figure: figure)


@pytest.mark.usefixtures("figures")
def test_a_class_called_background_is_not_taken_for_nothing() -> None:
    cells = [("background",) * 2, ("background", None), (None, "background"), ("shelf",) * 2]
    facts = [
        ConfusionFacts(true_class=true, predicted_class=seen, count=count)
        for count, (true, seen) in enumerate(cells, start=1)
    ]
    figure: Any = plots.confusion(facts, ["background", "shelf"], 0.3)
    axes = figure.axes[0]
    assert [one.get_text() for one in axes.get_xticklabels()] == [
        "background",
        "shelf",
        "(background)",
    ]
    drawn = {one.get_position(): one.get_text() for one in axes.texts}
    assert drawn == {(0, 0): "1", (2, 0): "2", (0, 2): "3", (1, 1): "4"}


@pytest.mark.usefixtures("figures")
def test_a_class_called_all_is_not_taken_for_the_total() -> None:
    facts = [
        MissFacts(
            class_name=name, size=BoxSize.SMALL, instances=10, found=10 - missed, missed=missed
        )
        for name, missed in (("all", 5), ("shelf", 0))
    ]
    figure: Any = plots.misses(facts, ["all", "shelf"])
    bars = {one.get_label(): one.patches[0].get_height() for one in figure.axes[0].containers}
    assert bars == {"(all)": 25, "all": 50, "shelf": 0}

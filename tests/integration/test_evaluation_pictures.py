"""Pictures and plots of an evaluation, whatever classes and files are called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

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
        found[name] = analyse(seen, NAMES, 0.3)
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
    interval = {"m" * 66: (0.1, -0.1, 0.2), "two@1": (0.0, 0.0, 0.0)}
    drawn = [
        plots.errors({name: one.errors for name, one in analyses.items()}),
        plots.confusion(analysis.confusion, names, 0.3),
        plots.misses(analysis.misses, names),
        plots.intervals({"mAP50": interval, "mAP50-95": interval}),
    ]
    assert all(width(one) <= 1200 for one in drawn)

"""Pictures of the images that a model gets most wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from db.error_kinds import ErrorKind
from db.one_line import printable
from worker.evaluation import marks
from worker.evaluation.analysis import Analysis, ImageErrors
from worker.evaluation.panels import Panel, side_by_side

WORST: Final = 20


def draw_worst(analysis: Analysis, folder: Path, checkpoint: Callable[[], None]) -> list[Path]:
    """Draw the images with the most false positives and negatives, the worst first.

    Args:
        analysis: of a model.
        folder: where to write.
        checkpoint: called before each; what it raises ends it.

    Returns:
        the files, `worst-01.jpg` and so on: 20 at most, and none of images without an error.
    """
    written = []
    for number, one in enumerate(_ranked(analysis)[:WORST], start=1):
        checkpoint()
        path = folder / f"worst-{number:02}.jpg"
        panels = (
            Panel(["what is there"], marks.objects(one, analysis.names)),
            Panel(
                [f"what the model saw, from confidence {analysis.confidence:.2f} on"],
                marks.boxes(one, analysis.names),
            ),
        )
        heading = f"{number}. {printable(one.seen.image.name)}: {_said(one)}"
        path.write_bytes(side_by_side(one.seen.image, panels, heading))
        written.append(path)
    return written


def _ranked(analysis: Analysis) -> list[ImageErrors]:
    wrong = [one for one in analysis.images if _errors(one)]
    return sorted(wrong, key=lambda one: (-_errors(one), str(one.seen.image)))


def _errors(one: ImageErrors) -> int:
    return one.false_positives + one.false_negatives


def _said(one: ImageErrors) -> str:
    counts = one.counts
    return ", ".join(f"{counts[kind]} {kind}" for kind in ErrorKind if counts[kind])

"""Pictures of the images on which models differ most: what is there, and what each saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from db.one_line import printable
from worker.evaluation import marks
from worker.evaluation.analysis import Analysis, ImageErrors
from worker.evaluation.panels import Panel, side_by_side

MOST: Final = 20


def draw_differences(
    analyses: Mapping[str, Analysis], folder: Path, checkpoint: Callable[[], None]
) -> list[Path]:
    """Draw the images on which a model differs most from the base, those first.

    An image counts for a model as its true positives less its false positives and false negatives,
    at the confidence of the analysis and IoU 0.5.

    Args:
        analyses: of each model on the same images, by its name; the base is the first.
        folder: where to write.
        checkpoint: called before each; what it raises ends it.

    Returns:
        the files, `difference-01.jpg` and so on: 20 at most, and none of images that are the same.
    """
    of_image = [{one.seen.image: one for one in analysis.images} for analysis in analyses.values()]
    apart = {path: _apart([images[path] for images in of_image]) for path in of_image[0]}
    ranked = sorted((path for path in apart if apart[path]), key=lambda path: (-apart[path], path))
    written = []
    for number, path in enumerate(ranked[:MOST], start=1):
        checkpoint()
        seen = {
            name: (analysis, images[path])
            for (name, analysis), images in zip(analyses.items(), of_image, strict=True)
        }
        file = folder / f"difference-{number:02}.jpg"
        file.write_bytes(side_by_side(path, _panels(seen), f"{number}. {printable(path.name)}"))
        written.append(file)
    return written


def _apart(images: Sequence[ImageErrors]) -> int:
    base, *others = map(_score, images)
    return max(abs(other - base) for other in others)


def _score(one: ImageErrors) -> int:
    return one.true_positives - one.false_positives - one.false_negatives


def _panels(seen: Mapping[str, tuple[Analysis, ImageErrors]]) -> list[Panel]:
    analysis, base = next(iter(seen.values()))
    panels = [Panel(["what is there"], marks.bare_objects(base, analysis.names))]
    for name, (analysis, one) in seen.items():
        title = (
            f"{name}, from confidence {analysis.confidence:.2f} on",
            f"{one.true_positives} right, {one.false_positives} wrong, "
            f"{one.false_negatives} not found",
        )
        drawn = marks.boxes(one, analysis.names) + marks.missed(one, analysis.names)
        panels.append(Panel(title, drawn))
    return panels

"""The report of a data set as one HTML file, with its pictures in it."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import polars as pl
from jinja2 import Environment, PackageLoader

from db.dataset_results import ClassFacts, FindingFacts, SplitFacts
from worker.datasets import mosaic, plots
from worker.datasets.examination import Examination

_PAGES = Environment(loader=PackageLoader("worker.datasets", "."), autoescape=True)


def page(
    name: str,
    sha256: str,
    examined: Examination,
    splits: Sequence[SplitFacts],
    classes: Sequence[ClassFacts],
    findings: Sequence[FindingFacts],
) -> str:
    """The report, as HTML that needs nothing beside it."""
    return _PAGES.get_template("report.html.j2").render(
        name=name,
        sha256=sha256,
        data=str(examined.files.data),
        classes=examined.files.class_names,
        splits=splits,
        findings=findings,
        pictures=_pictures(examined, classes),
    )


def _pictures(examined: Examination, classes: Sequence[ClassFacts]) -> list[tuple[str, str, str]]:
    objects = examined.objects
    if objects.is_empty():
        return []
    counts = pl.DataFrame(
        [(one.split, one.class_name, one.instances) for one in classes],
        ["split", "class", "instances"],
        orient="row",
    )
    # Two classes may have one name, which is among the findings.
    counts = counts.group_by("split", "class", maintain_order=True).sum()
    examples = mosaic.example_images(objects, examined.images)
    drawn = [
        ("Classes", "image/png", plots.class_distribution(counts)),
        ("Examples", "image/jpeg", mosaic.draw(examples, objects)),
        ("Sizes", "image/png", plots.box_sizes(objects)),
        ("Shapes", "image/png", plots.aspect_ratios(objects)),
        ("Places", "image/png", plots.centres(objects)),
    ]
    return [(title, kind, base64.b64encode(data).decode()) for title, kind, data in drawn]

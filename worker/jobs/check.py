"""Look through a data set: what is in it, what is wrong with it, and how it looks."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from db.dataset_results import CheckResult, ClassFacts, FindingFacts, SplitFacts
from db.file_facts import FileFacts
from db.specs import CheckSpec
from worker.context import Context
from worker.datasets.asked import dataset_asked_for
from worker.datasets.examination import SMALL, Examination, examine
from worker.datasets.page import page
from worker.datasets.problems import Kind, summed_up

_FILES = ("data.yaml", "report.html", "objects.parquet")


def run(spec: CheckSpec, context: Context) -> CheckResult:
    """Check a data set; its files are left as they are, and a repaired `data.yaml` is written.

    Raises:
        DatasetError: the file stands for no data set, or it, the data set or the names of its files
            have changed since they were enqueued.
        UsageError: a file of it lies outside the roots.
        Stopped: the job was told to stop.
    """
    files = dataset_asked_for(spec.data, spec.dataset_sha256, context, spec.layout_sha256)
    total = sum(map(len, files.splits.values()))
    examined = examine(files, lambda done: context.advance(done, total, "images", "looking"))
    splits = tuple(_split(examined, split) for split in files.splits)
    classes = tuple(_classes(examined))
    findings = tuple(
        FindingFacts(
            kind=one.kind,
            severity=one.severity.value,
            split=one.split,
            count=one.count,
            # One repair says nothing of the others.
            examples=files.repairs if one.kind is Kind.REPAIRED else one.examples,
        )
        for one in summed_up(examined.problems)
    )
    _write(context.folder / "data.yaml", files.repaired())
    _write(
        context.folder / "report.html",
        page(spec.name, spec.dataset_sha256, examined, splits, classes, findings),
    )
    examined.objects.write_parquet(context.folder / "objects.parquet")
    return CheckResult(
        splits=splits,
        classes=classes,
        findings=findings,
        files=tuple(FileFacts.of(context.folder / name) for name in _FILES),
    )


def _split(examined: Examination, split: str) -> SplitFacts:
    images = examined.images.filter(pl.col("split") == split)
    objects = examined.objects.filter(pl.col("split") == split)
    counts = objects.group_by("class").len().sort(["len", "class"], descending=[True, False])
    most = counts.row(0) if len(counts) else None
    least = counts.row(-1) if len(counts) else None
    labelled = int((images["objects"] > 0).sum())
    return SplitFacts(
        split=split,
        images=len(images),
        labelled=labelled,
        background=len(images) - labelled,
        instances=len(objects),
        mean_per_class=len(objects) / len(examined.files.class_names),
        most_frequent=most and most[0],
        least_frequent=least and least[0],
        imbalance=most[1] / least[1] if most and least else None,
        small=int((objects["width"] * objects["height"] < SMALL).sum()),
    )


def _classes(examined: Examination) -> list[ClassFacts]:
    counted = examined.objects.group_by("split", "class_id").agg(
        pl.len().alias("instances"), pl.col("image").n_unique().alias("images")
    )
    found = {(split, number): rest for split, number, *rest in counted.iter_rows()}
    return [
        ClassFacts(
            split=split,
            class_id=number,
            class_name=name,
            instances=found.get((split, number), (0, 0))[0],
            images=found.get((split, number), (0, 0))[1],
        )
        for split in examined.files.splits
        for number, name in enumerate(examined.files.class_names)
    ]


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")

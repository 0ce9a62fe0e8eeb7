"""Measure models on the same images of a data set, and say whether one is better."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from db.common_classes import CommonClasses, common_classes
from db.comparison_results import MIN_IMAGES, ComparedModelFacts, CompareResult
from db.dataset_files import DatasetFiles
from db.errors import NightshelfError
from db.file_facts import FileFacts
from db.layout import model_address
from db.specs import CompareSpec
from worker.checkpoint import load, verify
from worker.context import Context
from worker.datasets.asked import dataset_asked_for
from worker.row_file import write_tables

if TYPE_CHECKING:
    from worker.checkpoint import DetectionModel
    from worker.evaluation.analysis import Analysis
    from worker.evaluation.bootstrap import Draws
    from worker.evaluation.cost import Cost
    from worker.evaluation.validation import Validation

_PAGE, _OBJECTS = "report.html", "objects.parquet"


@dataclass(frozen=True, slots=True)
class _Measured:
    """What was found of one model; its class names are the data set's."""

    found: Validation
    analysis: Analysis
    draws: Draws
    cost: Cost
    left_out: tuple[str, ...]


def run(spec: CompareSpec, context: Context) -> CompareResult:
    """Compare models; the first is the base.

    What counts are the data set's classes that all models know, by name or by `class_map`.

    Raises:
        DatasetError: the data set has changed, has no such split, or in it an image that cannot
            be used, or no object of a class that counts.
        ModelError: a model's file is gone or has changed, or there is no class in common.
        UsageError: a file lies outside the roots, the device is not there, or `class_map` names
            what is not there.
        Stopped: the job was told to stop.
    """
    from worker.detection.ultralytics_yolo import torch_device  # torch: seconds, and GBs

    weights = [context.home / model_address(sha256) for sha256 in spec.model_sha256s]
    for path, sha256 in zip(weights, spec.model_sha256s, strict=True):
        verify(path, sha256)
    device = spec.device or context.device
    torch_device(device)
    files = dataset_asked_for(spec.data, spec.dataset_sha256, context)
    files.images(spec.split)
    context.advance(0, None, "images", "loading the models")
    models = dict(zip(spec.models, map(load, weights), strict=True))
    names = {name: model.names for name, model in models.items()}
    common = common_classes(files.class_names, names, spec.class_map)
    measured = _measure(spec, models, weights, files, common, device, context)
    return _reported(spec, measured, common, device, context)


def _measure(
    spec: CompareSpec,
    models: Mapping[str, DetectionModel],
    weights: Sequence[Path],
    files: DatasetFiles,
    common: CommonClasses,
    device: str,
    context: Context,
) -> dict[str, _Measured]:
    from worker.evaluation.analysis import analyse
    from worker.evaluation.bootstrap import draws
    from worker.evaluation.cost import cost_of, warm_up

    for model in models.values():
        context.checkpoint()
        warm_up(model, spec.imgsz, spec.batch, device)
    measured = {}
    for position, (name, model) in enumerate(models.items()):
        found = _validate(spec, position, model, files, common.ids[position], device, context)
        called = {number: known for known, number in common.ids[position].items()}
        counted_at = spec.at or found.sweep.best_confidence or 0.0
        told = partial(_tell, context, spec, found.images, position + 1)
        measured[name] = _Measured(
            found,
            analyse(
                found.seen, called, counted_at, partial(told, f"looking at the errors of {name}")
            ),
            draws(found.seen, partial(told, f"resampling for {name}")),
            cost_of(model, weights[position], spec.imgsz),
            common.left_out[position],
        )
    return measured


def _tell(context: Context, spec: CompareSpec, images: int, models: int, note: str) -> None:
    """Say that so many models are done, and what is going on; a checkpoint as well."""
    context.advance(models * images, len(spec.models) * images, "images", note)


def _validate(
    spec: CompareSpec,
    position: int,
    model: DetectionModel,
    files: DatasetFiles,
    ids: Mapping[str, int],
    device: str,
    context: Context,
) -> Validation:
    from worker.evaluation.arena import lay_out
    from worker.evaluation.validation import validate

    name, images = spec.models[position], len(files.splits[spec.split])
    folder = context.folder / "arena"
    laying = partial(_tell, context, spec, images, position, f"laying out for {name}")
    try:
        arena = lay_out(files, [spec.split], model.names, folder, lambda done, total: laying(), ids)
        arguments = spec.model_dump(include={"split", "imgsz", "batch", "conf", "iou", "max_det"})
        found = validate(
            model,
            arena,
            arguments | {"device": device},
            folder,
            ids.values(),
            lambda done: context.advance(
                position * images + done,
                len(spec.models) * images,
                "images",
                f"evaluating {name}",
            ),
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if {one.image for one in found.seen} != set(files.splits[spec.split]):
        raise NightshelfError(
            f"{name} was measured on {len(found.seen)} of {images} images of {files.data}: they "
            "were changed meanwhile"
        )
    return found


def _reported(
    spec: CompareSpec,
    measured: Mapping[str, _Measured],
    common: CommonClasses,
    device: str,
    context: Context,
) -> CompareResult:
    from worker.evaluation.differences import draw_differences
    from worker.evaluation.object_rows import object_rows

    base = next(iter(measured.values()))
    facts = [_facts(spec, one, None if one is base else base) for one in measured.values()]
    analyses = {name: one.analysis for name, one in measured.items()}
    told = partial(_tell, context, spec, base.found.images, len(measured))
    pictures = draw_differences(
        analyses, context.folder, partial(told, "drawing where they differ")
    )
    tables = (
        table.select(pl.lit(name).alias("model"), pl.all())
        for name, analysis in analyses.items()
        for table in object_rows(analysis, partial(told, "writing what was seen"))
    )
    write_tables(context.folder / _OBJECTS, tables)
    result = CompareResult(
        device=device,
        images=base.found.images,
        instances=sum(one.instances for one in facts[0].classes),
        classes=common.names,
        models=tuple(facts),
        files=(),
    )
    (context.folder / _PAGE).write_text(_page(spec, result, pictures), "utf-8")
    paths = [*(context.folder / name for name in (_PAGE, _OBJECTS)), *pictures]
    return result.model_copy(update={"files": tuple(map(FileFacts.of, paths))})


def _facts(spec: CompareSpec, one: _Measured, base: _Measured | None) -> ComparedModelFacts:
    from worker.evaluation.bootstrap import difference
    from worker.evaluation.counts import counts_at

    found, analysis = one.found, one.analysis
    counts = counts_at(
        [image.seen for image in analysis.images], analysis.confidence, spec.match_iou
    )
    intervals: dict[str, float | None] = {}
    for metric in ("map50", "map50_95"):
        draws = getattr(one.draws, metric)
        apart = difference(getattr(base.draws, metric), draws) if base else None
        for end in ("difference", "low", "high"):
            intervals[f"{metric}_{end}"] = getattr(apart, end) if apart else None
    metrics = ("precision", "recall", "f1", "map50", "map50_95")
    speed = ("preprocess_ms", "inference_ms", "postprocess_ms")
    return ComparedModelFacts(
        left_out=one.left_out,
        **{name: getattr(found, name) for name in (*metrics, *speed)},
        **intervals,
        best_confidence=found.sweep.best_confidence or 0.0,
        counted_at=analysis.confidence,
        true_positives=counts.true_positives,
        false_positives=counts.false_positives,
        false_negatives=counts.false_negatives,
        counted_precision=counts.precision,
        counted_recall=counts.recall,
        counted_f1=counts.f1,
        **asdict(one.cost),
        classes=tuple(
            found.classes[number].model_copy(update={"class_name": name})
            for number, name in analysis.names.items()
        ),
        errors=analysis.errors,
    )


def _page(spec: CompareSpec, result: CompareResult, pictures: Sequence[Path]) -> str:
    from worker.evaluation import plots
    from worker.evaluation.page import Picture, page

    facts = dict(zip(spec.models, result.models, strict=True))
    differences = {
        title: {
            name: (
                getattr(one, f"{metric}_difference"),
                getattr(one, f"{metric}_low"),
                getattr(one, f"{metric}_high"),
            )
            for name, one in list(facts.items())[1:]
        }
        for title, metric in {"mAP50": "map50", "mAP50-95": "map50_95"}.items()
    }
    return page(
        "comparison.html.j2",
        spec=spec,
        found=result,
        models=facts,
        least=MIN_IMAGES,
        intervals=Picture.of_png("intervals", plots.intervals(differences)),
        errors=Picture.of_png(
            "errors", plots.errors({name: one.errors for name, one in facts.items()})
        ),
        pictures=[Picture.of_jpeg(path) for path in pictures],
    )

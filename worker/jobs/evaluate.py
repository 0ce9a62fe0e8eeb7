"""Measure a model on a split of a data set, as Ultralytics' own `val` does."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from db.dataset_files import DatasetFiles
from db.errors import ModelError
from db.evaluation_results import EvaluateResult, SweepFacts
from db.file_facts import FileFacts
from db.layout import model_address
from db.specs import EvaluateSpec
from worker.checkpoint import load, verify
from worker.context import Context
from worker.datasets.asked import dataset_asked_for
from worker.row_file import write_tables

if TYPE_CHECKING:
    from worker.checkpoint import DetectionModel
    from worker.evaluation.analysis import Analysis
    from worker.evaluation.sweep import Sweep
    from worker.evaluation.validation import Validation

_OBJECTS, _SWEEP, _PAGE = "objects.parquet", "sweep.parquet", "report.html"


def run(spec: EvaluateSpec, context: Context) -> EvaluateResult:
    """Evaluate a model.

    Where model and data set name their classes differently, those that they share by name count.

    Raises:
        DatasetError: the data set has changed, has no such split, or in it an image that cannot
            be used, or no object of a class that the model knows.
        ModelError: the model's file is gone or has changed, or it knows none of the classes.
        UsageError: a file lies outside the roots, or the device is not there.
        Stopped: the job was told to stop.
    """
    from worker.detection.ultralytics_yolo import torch_device  # torch: seconds, and GBs
    from worker.evaluation.analysis import analyse
    from worker.evaluation.object_rows import object_rows
    from worker.evaluation.worst import draw_worst

    weights = context.home / model_address(spec.model_sha256)
    verify(weights, spec.model_sha256)
    device = spec.device or context.device
    torch_device(device)
    files = dataset_asked_for(spec.data, spec.dataset_sha256, context)
    files.images(spec.split)
    context.advance(0, None, "images", "loading the model")
    model = load(weights)
    names = _shared(spec.model, files, model.names)
    found = _validate(spec, model, files, names, device, context)
    tell = partial(context.advance, found.images, found.images, "images", "looking at errors")
    # Of a model that finds nothing, everything that it sees is wrong.
    analysis = analyse(found.seen, names, found.sweep.best_confidence or 0.0, tell)
    worst = draw_worst(analysis, context.folder, tell)
    write_tables(context.folder / _OBJECTS, object_rows(analysis, tell))
    found.sweep.rows(names).write_parquet(context.folder / _SWEEP)
    result = _result(found, analysis, device)
    (context.folder / _PAGE).write_text(_page(spec, result, found.sweep, analysis, worst), "utf-8")
    paths = [*(context.folder / name for name in (_PAGE, _OBJECTS, _SWEEP)), *worst]
    return result.model_copy(update={"files": tuple(map(FileFacts.of, paths))})


def _shared(model: str, files: DatasetFiles, names: Mapping[int, str]) -> dict[int, str]:
    """Class id to name, of the classes that the data set has too."""
    shared = {number: name for number, name in names.items() if name in files.class_names}
    if not shared:
        raise ModelError(
            f"model {model} and {files.data} have no class in common: the one knows "
            f"{', '.join(list(names.values())[:5])} …, the other "
            f"{', '.join(files.class_names[:5])} …"
        )
    return shared


def _validate(
    spec: EvaluateSpec,
    model: DetectionModel,
    files: DatasetFiles,
    counting: Collection[int],
    device: str,
    context: Context,
) -> Validation:
    from worker.evaluation.arena import lay_out
    from worker.evaluation.validation import validate

    total = len(files.splits[spec.split])
    folder = context.folder / "arena"
    try:
        told = partial(context.advance, unit="images", note="looking through")
        arena = lay_out(files, [spec.split], model.names, folder, told)
        arguments = spec.model_dump(include={"split", "imgsz", "batch", "conf", "iou", "max_det"})
        return validate(
            model,
            arena,
            arguments | {"device": device},
            folder,
            counting,
            lambda done: context.advance(done, total, "images", "evaluating"),
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _result(found: Validation, analysis: Analysis, device: str) -> EvaluateResult:
    counting = set(analysis.names.values())
    classes = tuple(one for one in found.classes if one.class_name in counting)
    metrics = ("precision", "recall", "f1", "map50", "map50_95")
    speed = ("preprocess_ms", "inference_ms", "postprocess_ms")
    counts = ("true_positives", "false_positives", "false_negatives")
    return EvaluateResult(
        device=device,
        images=found.images,
        instances=sum(one.instances for one in classes),
        **{name: getattr(found, name) for name in (*metrics, *speed)},
        **{name: getattr(analysis, name) for name in counts},
        best_confidence=found.sweep.best_confidence,
        false_positives_cost=analysis.costs.false_positives,
        false_negatives_cost=analysis.costs.false_negatives,
        classes=classes,
        errors=analysis.errors,
        confusion=analysis.confusion,
        misses=analysis.misses,
        sweep=_sweep(found.sweep, analysis.names),
        files=(),
    )


def _sweep(sweep: Sweep, names: Mapping[int, str]) -> tuple[SweepFacts, ...]:
    of = [None, *(names[number] for number in sweep.class_ids)]
    return tuple(
        SweepFacts(
            class_name=name,
            precision=tuple(curves[:, 1].tolist()),
            recall=tuple(curves[:, 2].tolist()),
            f1=tuple(curves[:, 3].tolist()),
        )
        for name, curves in zip(of, sweep.in_steps(), strict=True)
    )


def _page(
    spec: EvaluateSpec,
    result: EvaluateResult,
    sweep: Sweep,
    analysis: Analysis,
    worst: Sequence[Path],
) -> str:
    from worker.evaluation import plots
    from worker.evaluation.page import Picture, page

    names = analysis.names
    classes = [one.class_name for one in result.classes]
    drawn = {
        "curves": plots.curves(sweep, names),
        "errors": plots.errors({spec.model: result.errors}),
        "confusion": plots.confusion(result.confusion, classes, analysis.confidence),
        "misses": plots.misses(result.misses, classes),
    }
    return page(
        "evaluation.html.j2",
        spec=spec,
        found=result,
        worst=[Picture.of_jpeg(path) for path in worst],
        **{title: Picture.of_png(title, png) for title, png in drawn.items()},
    )

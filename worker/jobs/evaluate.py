"""Measure a model on a split of a data set, as Ultralytics' own `val` does."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace

from db.errors import DatasetError, ModelError
from db.evaluation_results import EvaluateResult
from db.file_facts import FileFacts
from db.layout import model_address
from db.specs import EvaluateSpec
from worker.checkpoint import load, verify
from worker.context import Context
from worker.datasets.asked import dataset_asked_for
from worker.evaluation.arena import lay_out
from worker.evaluation.seen import seen_rows

_SEEN = "seen.parquet"


def run(spec: EvaluateSpec, context: Context) -> EvaluateResult:
    """Evaluate a model.

    Where model and data set name their classes differently, those that they share by name count.

    Raises:
        DatasetError: the data set has changed, has no such split, or no class that the model knows.
        ModelError: the model's file is gone or has changed.
        UsageError: a file lies outside the roots, or the device is not there.
        Stopped: the job was told to stop.
    """
    from worker.detection.ultralytics_yolo import torch_device  # torch: seconds, and GBs
    from worker.evaluation.validation import validate

    weights = context.home / model_address(spec.model_sha256)
    verify(weights, spec.model_sha256)
    device = spec.device or context.device
    torch_device(device)
    files = dataset_asked_for(spec.data, spec.dataset_sha256, context)
    if spec.split not in files.splits:
        raise DatasetError(f"{files.data} has no {spec.split}: {', '.join(files.splits)}")
    context.advance(0, None, "images", "loading the model")
    model = load(weights)
    shared = set(files.class_names) & set(model.names.values())
    if not shared:
        raise ModelError(
            f"model {spec.model} and {files.data} have no class in common: the one knows "
            f"{', '.join(list(model.names.values())[:5])} …, the other "
            f"{', '.join(files.class_names[:5])} …"
        )
    arena_folder = context.folder / "arena"
    arena = lay_out(files, [spec.split], model.names, arena_folder)
    arguments = spec.model_dump(include={"split", "imgsz", "batch", "conf", "iou", "max_det"})
    try:
        found = validate(model, arena, arguments | {"device": device}, arena_folder, context)
    finally:
        shutil.rmtree(arena_folder)
    seen_rows(found.seen, model.names).write_parquet(context.folder / _SEEN)
    metrics = asdict(replace(found, seen=()))
    del metrics["seen"]
    metrics["classes"] = tuple(one for one in found.classes if one.class_name in shared)
    return EvaluateResult(
        **metrics,
        device=device,
        instances=sum(one.instances for one in metrics["classes"]),
        files=(FileFacts.of(context.folder / _SEEN),),
    )

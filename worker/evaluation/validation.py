"""Ultralytics' own validation of a model, with what it throws away kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import ops

from db.evaluation_results import ClassMetricFacts
from worker.context import Context
from worker.evaluation.arena import Arena
from worker.evaluation.seen import Seen


@dataclass(frozen=True, slots=True)
class Validation:
    """How good a model is on a split.

    Precision and recall are those at the confidence of the highest mean F1, as Ultralytics has it;
    mAP is AP averaged over classes, at IoU 0.5, and over IoU 0.5 to 0.95 in steps of 0.05.

    Attributes:
        images: in the split.
        precision, recall, f1, map50, map50_95: mean over the classes that are in the split.
        classes: each class of the model that is in the data set.
        preprocess_ms, inference_ms, postprocess_ms: per image.
        seen: what the model saw in each image.
    """

    images: int
    precision: float
    recall: float
    f1: float
    map50: float
    map50_95: float
    classes: tuple[ClassMetricFacts, ...]
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    seen: tuple[Seen, ...]


class _Recording(DetectionValidator):
    """The validator, with each image's predictions kept and a job's checkpoints in between."""

    def __init__(
        self, arguments: dict[str, Any], folder: Path, arena: Arena, context: Context
    ) -> None:
        super().__init__(save_dir=folder, args=arguments)
        self.recorded: list[Seen] = []
        self._originals = arena.originals[arguments["split"]]
        self._context = context

    def update_metrics(self, preds: list[dict[str, torch.Tensor]], batch: dict[str, Any]) -> None:
        for number, prediction in enumerate(preds):
            self.recorded.append(self._one(number, prediction, batch))
        super().update_metrics(preds, batch)
        total = len(self._originals)
        self._context.advance(len(self.recorded), total, "images", "evaluating")

    def _one(self, number: int, prediction: dict[str, torch.Tensor], batch: dict[str, Any]) -> Seen:
        of = self._prepare_batch(number, batch)

        def in_image(boxes: torch.Tensor) -> NDArray[np.float32]:
            scaled: Any = ops.scale_boxes(
                of["imgsz"], boxes.clone(), of["ori_shape"], of["ratio_pad"]
            )
            return np.asarray(scaled.cpu().numpy(), np.float32).reshape(-1, 4)

        height, width = of["ori_shape"]
        return Seen(
            self._originals[Path(of["im_file"]).name],
            width,
            height,
            in_image(prediction["bboxes"]),
            prediction["conf"].cpu().numpy().astype(np.float32),
            prediction["cls"].cpu().numpy().astype(np.int32),
            in_image(of["bboxes"]),
            of["cls"].cpu().numpy().astype(np.int32),
        )


def validate(
    model: DetectionModel, arena: Arena, arguments: dict[str, Any], folder: Path, context: Context
) -> Validation:
    """Validate a model on a split of a data set, as `YOLO.val` does with the same arguments.

    Args:
        model: as it was loaded; it is fused by this.
        arena: the data set, its class ids those of the model.
        arguments: Ultralytics' own: `split`, `imgsz`, `batch`, `conf`, `iou`, `max_det`, `device`.
        folder: where Ultralytics may write.
        context: of the job.

    Raises:
        Stopped: the job was told to stop.
    """
    names = dict(model.names)
    validator = _Recording(
        {
            **arguments,
            "data": str(arena.data),
            "mode": "val",
            "task": "detect",
            "rect": True,  # as `YOLO.val` has it
            "plots": False,
            "verbose": False,
        },
        folder,
        arena,
        context,
    )
    validator(model=model)
    metrics, box = validator.metrics, validator.metrics.box
    precision, recall, map50, map50_95 = map(float, box.mean_results())
    place = {int(number): position for position, number in enumerate(box.ap_class_index)}
    return Validation(
        images=len(validator.recorded),
        precision=precision,
        recall=recall,
        f1=float(np.mean(box.f1)) if len(box.f1) else 0.0,
        map50=map50,
        map50_95=map50_95,
        classes=tuple(
            _class_metrics(metrics, number, name, place.get(number))
            for number, name in names.items()
        ),
        preprocess_ms=float(metrics.speed["preprocess"]),
        inference_ms=float(metrics.speed["inference"]),
        postprocess_ms=float(metrics.speed["postprocess"]),
        seen=tuple(validator.recorded),
    )


def _class_metrics(metrics: Any, number: int, name: str, position: int | None) -> ClassMetricFacts:
    found: list[float | None] = [None] * 5
    if position is not None:
        precision, recall, map50, map50_95 = map(float, metrics.box.class_result(position))
        found = [precision, recall, float(metrics.box.f1[position]), map50, map50_95]
    return ClassMetricFacts(
        class_name=name,
        images=int(metrics.nt_per_image[number]),
        instances=int(metrics.nt_per_class[number]),
        **dict(zip(("precision", "recall", "f1", "map50", "map50_95"), found, strict=True)),
    )

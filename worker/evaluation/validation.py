"""Ultralytics' own validation of a model, with what it throws away kept."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import ops
from ultralytics.utils.metrics import box_iou

from db.errors import DatasetError
from db.evaluation_results import ClassMetricFacts
from worker.evaluation.arena import Arena
from worker.evaluation.outcomes import outcomes_of
from worker.evaluation.seen import Seen
from worker.evaluation.sweep import Sweep
from worker.offline import stay_offline


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
        seen: what the model saw in each image, of the classes that count.
        sweep: precision, recall and F1 at every confidence.
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
    sweep: Sweep


class _Recording(DetectionValidator):
    """The validator, with each image's predictions kept and told of."""

    def __init__(
        self,
        arguments: dict[str, Any],
        folder: Path,
        arena: Arena,
        counting: Collection[int],
        on_images: Callable[[int], None],
    ) -> None:
        super().__init__(save_dir=folder, args=arguments)
        self.recorded: list[Seen] = []
        self._counting = list(counting)
        self._originals = arena.originals[arguments["split"]]
        self._on_images = on_images

    def update_metrics(self, preds: list[dict[str, torch.Tensor]], batch: dict[str, Any]) -> None:
        super().update_metrics(preds, batch)
        self._on_images(len(self.recorded))

    def _process_batch(
        self, preds: dict[str, torch.Tensor], batch: dict[str, Any]
    ) -> dict[str, NDArray[np.bool_]]:
        """Called for each image, whatever its name says."""
        matches: dict[str, NDArray[np.bool_]] = super()._process_batch(preds, batch)
        self.recorded.append(self._one(preds, batch, matches["tp"]))
        return matches

    def _one(
        self,
        preds: dict[str, torch.Tensor],
        image: dict[str, Any],
        correct: NDArray[np.bool_],
    ) -> Seen:
        def in_image(boxes: torch.Tensor) -> NDArray[np.float32]:
            scaled: Any = ops.scale_boxes(
                image["imgsz"], boxes.clone(), image["ori_shape"], image["ratio_pad"]
            )
            return np.asarray(scaled.cpu().numpy(), np.float32).reshape(-1, 4)

        height, width = image["ori_shape"]
        truth, boxes = image["bboxes"].reshape(-1, 4), preds["bboxes"].reshape(-1, 4)
        class_id = preds["cls"].cpu().numpy().astype(np.int32)
        true_class_id = image["cls"].cpu().numpy().astype(np.int32)
        seen, there = np.isin(class_id, self._counting), np.isin(true_class_id, self._counting)
        overlap = box_iou(truth, boxes).cpu().numpy().astype(np.float32)[np.ix_(there, seen)]
        class_id, true_class_id, correct = class_id[seen], true_class_id[there], correct[seen]
        return Seen(
            self._originals[Path(image["im_file"]).name],
            width,
            height,
            in_image(boxes)[seen],
            preds["conf"].cpu().numpy().astype(np.float32)[seen],
            class_id,
            in_image(truth)[there],
            true_class_id,
            correct.astype(bool),
            outcomes_of(overlap, true_class_id, class_id, correct[:, 0]),
        )


def validate(
    model: DetectionModel,
    arena: Arena,
    arguments: dict[str, Any],
    folder: Path,
    counting: Collection[int],
    on_images: Callable[[int], None],
) -> Validation:
    """Validate a model on a split of a data set, as `YOLO.val` does with the same arguments.

    Args:
        model: as it was loaded; it stays so.
        arena: the data set, its class ids those of the model.
        arguments: Ultralytics' own: `split`, `imgsz`, `batch`, `conf`, `iou`, `max_det`, `device`.
        folder: where Ultralytics may write.
        counting: ids of the classes that count; others are not kept in `seen`.
        on_images: called after each batch with the number of images so far; what it raises ends
            the validation.

    Raises:
        DatasetError: there is no object of a class that the model knows: nothing can be measured.
    """
    stay_offline()
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
        counting,
        on_images,
    )
    validator(model=model)
    metrics, box = validator.metrics, validator.metrics.box
    if not len(box.ap_class_index):
        raise DatasetError(
            f"there is not one object of a class that the model knows in {arguments['split']}: "
            "nothing can be measured. See `nightshelf dataset check`"
        )
    precision, recall, map50, map50_95 = map(float, box.mean_results())
    sweep = Sweep(
        class_ids=tuple(map(int, box.ap_class_index)),
        confidence=np.asarray(box.px),
        precision=np.asarray(box.p_curve),
        recall=np.asarray(box.r_curve),
        f1=np.asarray(box.f1_curve),
    )
    return Validation(
        images=len(validator.recorded),
        precision=precision,
        recall=recall,
        f1=float(np.mean(box.f1)) if len(box.f1) else 0.0,
        map50=map50,
        map50_95=map50_95,
        classes=tuple(
            _class_metrics(metrics, sweep, number, name) for number, name in names.items()
        ),
        preprocess_ms=float(metrics.speed["preprocess"]),
        inference_ms=float(metrics.speed["inference"]),
        postprocess_ms=float(metrics.speed["postprocess"]),
        seen=tuple(validator.recorded),
        sweep=sweep,
    )


def _class_metrics(metrics: Any, sweep: Sweep, number: int, name: str) -> ClassMetricFacts:
    found: list[float | None] = [None] * 6
    if number in sweep.class_ids:
        position = sweep.class_ids.index(number)
        precision, recall, map50, map50_95 = map(float, metrics.box.class_result(position))
        f1, best = float(metrics.box.f1[position]), sweep.best_confidence_of(number)
        found = [precision, recall, f1, map50, map50_95, best]
    columns = ("precision", "recall", "f1", "map50", "map50_95", "best_confidence")
    return ClassMetricFacts(
        class_name=name,
        images=int(metrics.nt_per_image[number]),
        instances=int(metrics.nt_per_class[number]),
        **dict(zip(columns, found, strict=True)),
    )

"""What a model costs: the size of its file, its weights, its arithmetic."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.torch_utils import get_flops


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model costs.

    Attributes:
        size_bytes: of its file.
        parameters: number of weights, before any fusing of layers.
        gflops: multiplications and additions in one image of the size that was asked for, in 10^9,
            as Ultralytics counts them.
    """

    size_bytes: int
    parameters: int
    gflops: float


def cost_of(model: DetectionModel, weights: Path, imgsz: int) -> Cost:
    """Say what a model costs.

    Args:
        model: as it was loaded; it stays so.
        weights: its file.
        imgsz: side of the image, in pixels.
    """
    return Cost(
        weights.stat().st_size,
        sum(parameter.numel() for parameter in model.parameters()),
        float(get_flops(deepcopy(model), imgsz)),  # type: ignore[no-untyped-call]
    )


def warm_up(model: DetectionModel, imgsz: int, batch: int, device: str) -> None:
    """Show a model one batch of nothing.

    What a device and its libraries do only once must not be charged to the model that is measured
    first.
    """
    with torch.inference_mode():
        deepcopy(model).to(device)(torch.zeros(batch, 3, imgsz, imgsz, device=device))

"""A finished training made one that can be gone on with."""

from __future__ import annotations

from pathlib import Path

import torch
from ultralytics.nn.tasks import torch_safe_load

from db.errors import ModelError


def reopen(last: Path, first_done: int, epochs: int, target: Path) -> Path:
    """Write a checkpoint from which a training goes on to `epochs`, as if that had been asked.

    What was best before counts no more: the model of an extension is the best of its own epochs,
    and patience begins anew. The learning rate is that which the schedule for so many epochs has.

    Args:
        last: the checkpoint of the training's last epoch, with the optimiser's state.
        first_done: the number of that epoch.
        epochs: the number of the last one to come.
        target: where to write it.

    Raises:
        ModelError: it holds no such state.
    """
    checkpoint, _ = torch_safe_load(last, safe_only=True)  # type: ignore[no-untyped-call]
    if checkpoint.get("optimizer") is None or checkpoint.get("epoch") != first_done - 1:
        raise ModelError(f"{last} cannot be gone on from: it has no state of epoch {first_done}")
    checkpoint["train_args"]["epochs"] = epochs
    checkpoint["best_fitness"] = None
    checkpoint["stopper"] = {"best_fitness": 0.0, "best_epoch": first_done}
    torch.save(checkpoint, target)
    return target

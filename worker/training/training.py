"""A training from its spec to its checkpoints, by Ultralytics' own trainer."""

from __future__ import annotations

import gc
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from db.specs import TrainSpec
from db.training_specs import BATCH_ON_CPU
from worker.checkpoint import load
from worker.context import Context
from worker.training.failures import OutOfMemory
from worker.training.following import Following
from worker.training.ranks import train_on_several
from worker.training.start import Start
from worker.training.trainer import Trainer

_AUTO = -1  # Ultralytics' word for it

# Processes that load images, at most: Ultralytics' own number, which it takes of processors that
# are the machine's, and not this process's.
_MOST_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training left.

    Attributes:
        folder: with curves, plots and arguments.
        best: the weights of the best epoch, without what only training needs.
        last: the last epoch's, with it.
        batch: images at once, as it was in the end.
    """

    folder: Path
    best: Path
    last: Path
    batch: int


def train(
    spec: TrainSpec, data: Path, device: str, start: Start, following: Following, context: Context
) -> Trained:
    """Train, or go on with it.

    Args:
        spec: what was asked.
        data: the data set's YAML file, as it was laid out.
        device: as Ultralytics has it: `cpu`, `0`, `0,1`.
        start: where to begin.
        following: takes the events.
        context: of the job.

    Raises:
        PermanentError: memory does not suffice, or the loss is no number any more.
        Stopped: the job was told to stop.
    """
    arguments = arguments_for(spec, data, device, start, context.folder / "run")
    try:
        return _once(arguments, start, following, context)
    except OutOfMemory as error:
        half = error.batch // 2
        if spec.batch != "auto" or not half:
            raise
        following.remark = f"--batch {half}, since memory ran out with {error.batch}"
    gc.collect()
    torch.cuda.empty_cache()
    if following.last is not None:
        start = Start(checkpoint=following.last)  # the best one lies in its folder
        arguments = arguments_for(spec, data, device, start, context.folder / "run")
    return _once(arguments | {"batch": half}, start, following, context)


def arguments_for(
    spec: TrainSpec, data: Path, device: str, start: Start, folder: Path
) -> dict[str, Any]:
    """Ultralytics' arguments for what was asked."""
    if start.trained is not None:
        # Only the final validation is left, which is one device's: the processes of the others
        # would refuse to go on with a training that is over.
        device = device.partition(",")[0]
    arguments = {
        "task": "detect",
        "mode": "train",
        "model": str(start.checkpoint or start.weights or spec.architecture),
        "data": str(data),
        "save_dir": str(folder),
        "device": device,
        "workers": min(_MOST_WORKERS, len(os.sched_getaffinity(0))),
    }
    if start.checkpoint is not None:
        # The checkpoint has the others: the optimiser that was chosen, the batch that fitted.
        settings = {key: spec.settings[key] for key in ("workers",) if key in spec.settings}
        return arguments | settings | {"resume": arguments["model"]}
    batch = spec.batch
    if batch == "auto":
        batch = BATCH_ON_CPU if device == "cpu" else _AUTO
    asked = spec.model_dump(include={"epochs", "imgsz", "patience", "seed"})
    return arguments | asked | spec.settings | {"batch": batch, "verbose": False}


def _once(
    arguments: dict[str, Any], start: Start, following: Following, context: Context
) -> Trained:
    trainer = Trainer(overrides=arguments)
    if start.weights is not None:
        # As `YOLO.train` does it, and in that order: it draws random numbers.
        weights = load(start.weights)
        trainer.model = trainer.get_model(weights=weights, cfg=weights.yaml)
    if start.best is not None:
        shutil.copyfile(start.best, trainer.best)
    if start.trained is not None:
        trainer.trained = start.trained
        trainer.last = trainer.wdir / f"epoch-{start.trained}.pt"
        shutil.copyfile(str(start.checkpoint), trainer.last)
    if trainer.ddp:
        train_on_several(trainer, following, context)
        trainer.last = max(trainer.wdir.glob("epoch-*.pt"), key=lambda path: path.stat().st_mtime)
    else:
        trainer.tell = following.take
        trainer.train()
    return Trained(trainer.save_dir, trainer.best, trainer.last, int(trainer.batch_size))

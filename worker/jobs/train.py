"""Train a model on a data set, as Ultralytics' own `train` does."""

from __future__ import annotations

import platform
import shutil
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from db.dataset_files import DatasetFiles, label_of
from db.errors import DatasetError, UsageError
from db.file_facts import FileFacts
from db.job_records import Progress
from db.layout import model_address
from db.specs import TrainSpec
from db.training_results import LAST, TrainResult
from db.training_specs import BATCH_ON_CPU
from worker.checkpoint import inspect, keep
from worker.context import Context
from worker.datasets.asked import dataset_asked_for
from worker.training.curve import described
from worker.training.events import JOURNAL
from worker.training.following import Following
from worker.training.start import BEGIN, start_of

if TYPE_CHECKING:
    from worker.evaluation.arena import Arena
    from worker.training.training import Trained

_BEST = "best.pt"
_ARENA = "arena"
_SPLITS = ("train", "val")


def run(spec: TrainSpec, context: Context) -> TrainResult:
    """Train a model, or go on with it after an attempt that was cut off.

    Raises:
        DatasetError: the data set has changed, or cannot be trained on.
        ModelError: the file of the model that it begins with is gone or has changed.
        UsageError: a file lies outside the roots, or a device is not there.
        PermanentError: memory does not suffice, or the loss is no number any more.
        Stopped: the job was told to stop.
    """
    start = start_of(spec, context)
    device = _devices(spec, context.device)
    files = dataset_asked_for(spec.data, spec.dataset_sha256, context)
    done = context.resume.epochs if context.resume else ()
    first = (done[-1].epoch if done else spec.extends.epochs if spec.extends else 0) + 1
    on_cpu = device == "cpu"
    beginning = described(min(first, spec.epochs), spec.epochs, done, 0, on_cpu)
    if on_cpu and spec.batch == "auto":
        beginning += f"; --batch auto is {BATCH_ON_CPU} then"
    following = Following(context, done, spec.epochs, on_cpu)
    from worker.training.training import train  # torch: seconds, and GBs

    try:
        arena = _laid_out(files, context)
        context.checkpoint()
        context.report(Progress(0, None, "batches", beginning))
        trained = train(spec, arena.data, device, start, following, context)
    finally:
        shutil.rmtree(context.folder / _ARENA, ignore_errors=True)
    _gather(trained, context.folder)
    (context.folder / BEGIN).unlink(missing_ok=True)
    checkpoint = inspect(context.folder / _BEST)
    copy = context.folder / "weights.pt"
    shutil.copyfile(context.folder / _BEST, copy)
    keep(copy, context.home / model_address(checkpoint.sha256))
    return TrainResult(
        task=checkpoint.task,
        architecture=checkpoint.architecture,
        class_names=checkpoint.class_names,
        parameters=checkpoint.parameters,
        size_bytes=checkpoint.size_bytes,
        model_sha256=checkpoint.sha256,
        device=spec.device or context.device,
        batch=trained.batch,
        versions=_versions(),
        files=tuple(
            FileFacts.of(path)
            for path in sorted(context.folder.iterdir())
            if not path.name.startswith("epoch-")  # those are the worker's
        ),
    )


def _laid_out(files: DatasetFiles, context: Context) -> Arena:
    """The data set, as Ultralytics is to find it.

    Raises:
        DatasetError: it has no `train` or no `val`, no objects in one of them, or an image that
            would be left out.
        Stopped: the job was told to stop.
    """
    from worker.evaluation.arena import lay_out

    names = dict(enumerate(files.class_names))
    told = partial(context.advance, unit="images", note="looking through")
    arena = lay_out(files, _SPLITS, names, context.folder / _ARENA, told)
    for split, objects in arena.objects.items():
        if not objects:
            raise DatasetError(
                f"{files.data} has no labels in {split}: they are looked for beside the images, as "
                f"{label_of(files.splits[split][0])}"
            )
    return arena


def _devices(spec: TrainSpec, own: str) -> str:
    """The devices as Ultralytics has them: `cpu`, `0`, `0,1`.

    Raises:
        UsageError: one is not there; or there are several, and what was asked is for one.
    """
    from worker.detection.ultralytics_yolo import torch_device  # torch, again

    asked = spec.device or own
    names = asked.removeprefix("cuda:").split(",")
    if names[0] in ("cpu", "cuda"):
        torch_device(asked)
        return "0" if asked == "cuda" else asked
    for name in names:
        torch_device(f"cuda:{name}")
    if len(set(names)) < len(names):
        raise UsageError(f"--device {asked} names a device twice")
    if len(names) > 1 and spec.batch == "auto":
        raise UsageError("--batch auto is for one device: say how many images at once")
    return ",".join(names)


def _gather(trained: Trained, folder: Path) -> None:
    """Bring what a training left into the attempt's folder, and remove the rest."""
    trained.best.replace(folder / _BEST)
    trained.last.replace(folder / LAST)
    for path in trained.folder.iterdir():
        if path.is_file() and path.name != JOURNAL:
            path.replace(folder / path.name)
    shutil.rmtree(trained.folder)


def _versions() -> dict[str, str]:
    """What the training ran on."""
    packages = {name: version(name) for name in ("nightshelf", "ultralytics", "torch")}
    return packages | {"python": platform.python_version()}

"""Open a checkpoint, see what it is, and keep it under its content."""

from __future__ import annotations

import shutil
from pathlib import Path

from db.errors import ModelError
from db.files import sha256_of
from db.layout import model_address
from db.model_results import RegisterResult
from db.specs import RegisterSpec
from worker.checkpoint import inspect, keep
from worker.context import Context
from worker.inputs import allowed_file


def run(spec: RegisterSpec, context: Context) -> RegisterResult:
    """Keep a checkpoint, if it is one of YOLOv8 detection.

    The copy that is opened is the one that is kept: the file that was named may change meanwhile.

    Raises:
        ModelError: it is no such checkpoint, or it has changed since it was enqueued.
        UsageError: the file is gone.
        Stopped: the job was told to stop.
    """
    source = allowed_file(Path(spec.weights), context.roots)
    context.advance(0, 3, "steps", "copying")
    copy = context.folder / "weights.pt"
    shutil.copyfile(source, copy)
    if (found := sha256_of(copy)) != spec.weights_sha256:
        raise ModelError(
            f"{source} has changed since it was enqueued (sha256 {found[:12]}, not "
            f"{spec.weights_sha256[:12]}): add it again"
        )
    context.advance(1, 3, "steps", "opening")
    try:
        checkpoint = inspect(copy)
    except ModelError as error:
        # The copy is about to be removed: whoever reads this knows the file by its own name.
        raise ModelError(str(error).replace(str(copy), str(source))) from error
    context.advance(2, 3, "steps", "keeping")
    keep(copy, context.home / model_address(spec.weights_sha256))
    context.advance(3, 3, "steps", "keeping")
    return RegisterResult(
        task=checkpoint.task,
        architecture=checkpoint.architecture,
        class_names=checkpoint.class_names,
        parameters=checkpoint.parameters,
        size_bytes=checkpoint.size_bytes,
    )

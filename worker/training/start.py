"""Where a training begins: from scratch, with a model, or where an earlier one has come to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from db.errors import ModelError
from db.files import sha256_of
from db.layout import model_address
from db.specs import TrainSpec
from worker.checkpoint import verify
from worker.context import Context

BEGIN = "begin.pt"
"""In the attempt's folder: the checkpoint from which an extension goes on."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a training begins; from scratch, if nothing else is said.

    Attributes:
        weights: a model to begin with.
        checkpoint: to go on from, optimiser and all.
        best: the checkpoint of the best epoch before that, if there is one.
        trained: the number of the checkpoint's epoch, if none is to follow.
    """

    weights: Path | None = None
    checkpoint: Path | None = None
    best: Path | None = None
    trained: int | None = None


def start_of(spec: TrainSpec, context: Context) -> Start:
    """Where a training begins in this attempt.

    Raises:
        ModelError: a file that it begins with is gone or has changed.
    """
    if resume := context.resume:
        last = resume.epochs[-1]
        trained = last.epoch if last.final else None
        return Start(checkpoint=Path(resume.last), best=Path(resume.best), trained=trained)
    if spec.extends:
        last_file = context.home / spec.extends.checkpoint
        if not last_file.is_file() or sha256_of(last_file) != spec.extends.sha256:
            raise ModelError(
                f"{last_file} is gone or has changed: job {spec.extends.job_id} cannot be extended"
            )
        from worker.training.extension import reopen  # torch: seconds, and GBs

        target = context.folder / BEGIN
        return Start(checkpoint=reopen(last_file, spec.extends.epochs, spec.epochs, target))
    if spec.base_sha256:
        weights = context.home / model_address(spec.base_sha256)
        verify(weights, spec.base_sha256)
        return Start(weights=weights)
    return Start()

"""What a training begins with, from what was typed: a model, a checkpoint, an architecture."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from db import job_records
from db.dialect import reading
from db.errors import ModelError, UsageError
from db.files import sha256_of
from db.one_line import printable
from db.settings import settings
from db.specs import RegisterSpec, TrainSpec
from db.storage import storage
from db.training_results import LAST, epochs_so_far
from db.training_specs import Extension
from db.training_tables import TrainingRow
from producer.enqueue import database, validated
from producer.inputs import regular_file
from producer.registry import Model, known_content, usable_model

_ARCHITECTURE = re.compile(r"yolov8[nsmlx](-p2|-p6)?\.yaml")


@dataclass(frozen=True, slots=True)
class Base:
    """What a training begins with.

    Attributes:
        called: what people call it.
        sha256: of the weights; None for an architecture.
        architecture: what is trained from scratch.
        to_register: the checkpoint's registration, which the training has to wait for.
    """

    called: str = ""
    sha256: str | None = None
    architecture: str | None = None
    to_register: RegisterSpec | None = None


def find_base(typed: str) -> Base:
    """What was typed for `--base`.

    Raises:
        ModelError: no model is registered so, or its file is gone.
        UsageError: there is no such file, or no such architecture.
    """
    if _ARCHITECTURE.fullmatch(typed):
        return Base(called=typed, architecture=typed)
    if typed.endswith((".yaml", ".yml")):
        raise UsageError(
            f"{printable(typed)} cannot be trained from scratch: say yolov8n.yaml, or s, m, l, x "
            "for the n, or yolov8n-p2.yaml, yolov8n-p6.yaml"
        )
    if typed.endswith(".pt") or "/" in typed:
        return _checkpoint(Path(typed).expanduser())
    registered = usable_model(typed)
    return Base(called=registered.reference, sha256=registered.sha256)


def _checkpoint(path: Path) -> Base:
    if not path.exists():
        raise UsageError(
            f"no such file: {printable(str(path))} (nothing is downloaded here: Ultralytics' own "
            "checkpoints are at https://github.com/ultralytics/assets/releases)"
        )
    weights = regular_file(path)
    sha256 = sha256_of(weights)
    known = known_content(sha256)
    if known is not None and storage(settings()).holds(known.address):
        return Base(called=known.reference, sha256=sha256)
    name = known.name if known else _name_of(weights)
    registration = validated(RegisterSpec, name=name, weights=str(weights), weights_sha256=sha256)
    return Base(called=name, sha256=sha256, to_register=registration)


def _name_of(weights: Path) -> str:
    """A model's name from a file's: what may not be in one becomes a dash."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", weights.stem.lower()).lstrip("._-")
    return plain[:64] or "base"


def extension_of(reference: str) -> tuple[Model, TrainSpec, Extension]:
    """The model, and the training that made it, to be gone on with.

    Raises:
        ModelError: there is no such model, no training made it, or its last checkpoint is gone.
    """
    registered = usable_model(reference)
    with reading(database()) as tx:
        query = select(TrainingRow.job_id).where(TrainingRow.model_id == registered.id)
        job_id = tx.scalar(query)
        if job_id is None:
            raise ModelError(
                f"no training here made {registered.reference}, so none can be gone on with: "
                f"fine-tune it with --base {registered.reference} --epochs, without --extend"
            )
        spec = job_records.get(tx, job_id).parsed_spec
        files = {one.name: one for one in job_records.output_files(tx, job_id)}
        last_epoch = epochs_so_far(tx, job_id)[-1].facts.epoch
    assert isinstance(spec, TrainSpec)
    last = files.get(LAST)
    if last is None or not storage(settings()).holds(last.address):
        raise ModelError(
            f"the last checkpoint of job {job_id} is gone, so that it cannot be gone on with: "
            f"fine-tune {registered.reference} with --epochs, without --extend"
        )
    return (
        registered,
        spec,
        Extension(job_id=job_id, epochs=last_epoch, checkpoint=last.address, sha256=last.sha256),
    )

"""What a training writes: a row for each epoch as it ends, and in the end the model it made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, insert, select, update

from db.dataset_results import known_dataset
from db.dialect import now
from db.errors import ModelError
from db.file_facts import FileFacts
from db.model_results import ModelFacts, add_version
from db.model_tables import ModelRow
from db.specs import TrainSpec
from db.training_tables import TrainingEpochRow, TrainingRow

LAST = "last.pt"
"""The file of a training that another can go on from: with the optimiser's state."""


class EpochFacts(BaseModel):
    """One epoch; columns of `training_epochs`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epoch: int
    box_loss: float
    cls_loss: float
    dfl_loss: float
    val_box_loss: float | None
    val_cls_loss: float | None
    val_dfl_loss: float | None
    precision: float
    recall: float
    map50: float
    map50_95: float
    learning_rates: tuple[float, ...]
    seconds: float
    best: bool
    final: bool


class TrainResult(ModelFacts):
    """What a `train` job made; its model lies at its address already."""

    kind: Literal["train"] = "train"
    model_sha256: str
    device: str
    batch: int
    versions: dict[str, str]
    files: tuple[FileFacts, ...]


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """An epoch as it was written.

    Attributes:
        facts: how it went.
        attempt: at the job, in which it was trained.
        checkpoint: address of its checkpoint, as long as that is kept.
        sha256: of that file.
    """

    facts: EpochFacts
    attempt: int
    checkpoint: PurePosixPath | None
    sha256: str | None


def epochs_so_far(tx: Connection, job_id: int) -> list[EpochRecord]:
    """The epochs of a training that have ended, in their order."""
    table = TrainingEpochRow.__table__
    query = select(table).where(table.c.job_id == job_id).order_by(table.c.epoch)
    return [
        EpochRecord(
            EpochFacts(**{name: row[name] for name in EpochFacts.model_fields}),
            row["attempt"],
            PurePosixPath(row["checkpoint"]) if row["checkpoint"] else None,
            row["checkpoint_sha256"],
        )
        for row in tx.execute(query).mappings()
    ]


def write_epoch(
    tx: Connection,
    job_id: int,
    attempt: int,
    facts: EpochFacts,
    checkpoint: PurePosixPath,
    sha256: str,
) -> list[PurePosixPath]:
    """Write an epoch that has ended. The caller has fenced the transaction with the lease.

    Args:
        tx: the transaction.
        job_id: of the training.
        attempt: at it.
        facts: how the epoch went.
        checkpoint: address of its checkpoint, which is kept there already.
        sha256: of that file.

    Returns:
        the addresses of the checkpoints that no row points to any more: all but those of this
        epoch and of the best so far.
    """
    columns = TrainingEpochRow.__table__.c
    tx.execute(
        insert(TrainingEpochRow).values(
            job_id=job_id,
            attempt=attempt,
            checkpoint=str(checkpoint),
            checkpoint_sha256=sha256,
            ended_at=now(),
            **facts.model_dump(exclude={"learning_rates"}),
            learning_rates=list(facts.learning_rates),
        )
    )
    best = select(columns.epoch).where(columns.job_id == job_id, columns.best)
    kept = {facts.epoch, tx.scalar(best.order_by(columns.epoch.desc()).limit(1))}
    superseded = [
        columns.job_id == job_id,
        columns.checkpoint.is_not(None),
        columns.epoch.not_in([epoch for epoch in kept if epoch is not None]),
    ]
    dropped = list(tx.scalars(select(columns.checkpoint).where(*superseded)))
    tx.execute(
        update(TrainingEpochRow).where(*superseded).values(checkpoint=None, checkpoint_sha256=None)
    )
    return [PurePosixPath(address) for address in dropped]


def write_training(tx: Connection, job_id: int, spec: TrainSpec, result: TrainResult) -> None:
    """Register the model that a training made, as the next version of its name.

    Raises:
        ModelError: the model that it began with is not registered any more.
    """
    epochs = [record.facts for record in epochs_so_far(tx, job_id)]
    base_id, base = _base(tx, spec)
    model_id = add_version(
        tx,
        job_id,
        spec.name,
        result.model_sha256,
        f"the training of job {job_id}",
        ModelFacts(**result.model_dump(include=set(ModelFacts.model_fields))),
        first_in_production=False,
    )
    asked = spec.model_dump(mode="json", include={"epochs", "imgsz", "batch", "patience", "seed"})
    tx.execute(
        insert(TrainingRow).values(
            job_id=job_id,
            model_id=model_id,
            base_model_id=base_id,
            base=base,
            dataset_id=known_dataset(tx, spec.dataset_sha256, spec.dataset, spec.data),
            args=asked | spec.settings,
            versions=result.versions,
            device=result.device,
            batch=result.batch,
            epochs=spec.epochs,
            epochs_run=len(epochs),
            best_epoch=max(one.epoch for one in epochs if one.best),
            stopped_early=epochs[-1].epoch < spec.epochs,
            seconds=sum(one.seconds for one in epochs),
            extends_job_id=spec.extends and spec.extends.job_id,
        )
    )
    # The job's own last.pt is what is gone on from now.
    tx.execute(
        update(TrainingEpochRow)
        .where(TrainingEpochRow.job_id == job_id)
        .values(checkpoint=None, checkpoint_sha256=None)
    )


def _base(tx: Connection, spec: TrainSpec) -> tuple[int | None, str]:
    """The model that a training began with: the id of its row, and what people call it."""
    if spec.architecture is not None:
        return None, spec.architecture
    query = select(ModelRow.id, ModelRow.name, ModelRow.version)
    row = tx.execute(query.where(ModelRow.sha256 == spec.base_sha256)).first()
    if row is None:
        raise ModelError(f"model {spec.base} is not registered any more")
    return row.id, f"{row.name}@{row.version}"

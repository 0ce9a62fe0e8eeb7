"""The checkpoints of a training that is not done: kept as its epochs end, fetched to go on from.

First the file, then the row that points to it, then the removal of what no row points to: whoever
dies in between leaves a file too many, which the next attempt removes, and never a row too many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from sqlalchemy import Connection

from db import jobs
from db.errors import PermanentError
from db.files import sha256_of
from db.job_records import Job
from db.jobs import Lease
from db.layout import attempt_address, checkpoint_address
from db.storage import Moving, Storage
from db.training_results import EpochRecord, write_epoch
from worker.wire import EpochEnded, Resume


class Keeping:
    """An epoch that has ended: its checkpoint is moved, it is written, what it replaces removed."""

    def __init__(self, storage: Storage, home: Path, lease: Lease, ended: EpochEnded) -> None:
        job = lease.job
        self._storage = storage
        self._lease = lease
        self._epoch = ended.epoch
        self._source = home / attempt_address(job.id, job.attempt) / ended.checkpoint
        self._address = checkpoint_address(job.id, job.attempt, ended.epoch.epoch)
        self._target = home / self._address
        self._sha256 = ""
        self._replaced: list[PurePosixPath] = []

    def move(self, moving: Moving) -> None:
        """Bring the runner's file to where it is kept, whole and on the disk.

        Raises:
            StorageError: the store does not answer, or refuses.
            OSError: it cannot be written.
        """
        with self._source.open("rb") as file:
            os.fsync(file.fileno())
        self._sha256 = sha256_of(self._source)
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._source.replace(self._target)
        self._storage.publish_file(self._address, moving)

    def write(self, tx: Connection, lease_s: float) -> None:
        """Write the epoch, with where its checkpoint is.

        Raises:
            LeaseLost: the job is no longer ours.
        """
        job = self._lease.job
        jobs.heartbeat(tx, self._lease, lease_s)
        self._replaced = write_epoch(
            tx, job.id, job.attempt, self._epoch, self._address, self._sha256
        )

    def clear(self, moving: Moving) -> None:
        """Remove the checkpoints that no row points to any more."""
        for address in self._replaced:
            self._storage.remove(address.parent)


def fetch_checkpoints(
    storage: Storage, home: Path, job: Job, epochs: Sequence[EpochRecord], moving: Moving
) -> None:
    """Bring here what a training goes on from, and remove what no row points to.

    Raises:
        PermanentError: it is gone.
        StorageError: the store does not answer.
        OSError: it cannot be written here.
    """
    for folder in leftovers(job.id, job.attempt, epochs):
        storage.remove(folder)
    for record in epochs:
        if record.checkpoint is None or record.sha256 is None:
            continue
        storage.fetch_file(record.checkpoint, record.sha256, moving)
        path = home / record.checkpoint
        if not path.is_file() or sha256_of(path) != record.sha256:
            raise PermanentError(
                f"the checkpoint of epoch {record.facts.epoch} is gone or has changed "
                f"({record.checkpoint}): train anew, with --force"
            )


def leftovers(job_id: int, attempt: int, epochs: Sequence[EpochRecord]) -> Iterator[PurePosixPath]:
    """The folders in which an earlier attempt may have left a checkpoint that no row points to.

    Args:
        job_id: of the training.
        attempt: the one that begins; none is left of its own yet.
        epochs: those that were written.
    """
    pointed_to = {record.checkpoint for record in epochs} - {None}
    for earlier in range(1, attempt):
        folder = checkpoint_address(job_id, earlier, 1).parent.parent
        if not any(folder in address.parents for address in pointed_to if address):
            yield folder
            continue
        # It died between a file and its row, or between a row and the removal of what that one
        # replaced: the epoch before, or the best one before.
        last = epochs[-1].facts.epoch
        suspects = {record.facts.epoch for record in epochs if record.facts.best}
        for epoch in sorted(suspects | {last - 1, last, last + 1}):
            if (address := checkpoint_address(job_id, earlier, epoch)) not in pointed_to:
                yield address.parent


def resume_from(home: Path, epochs: Sequence[EpochRecord]) -> Resume | None:
    """What the runner goes on from; None if no epoch was trained yet."""
    if not epochs:
        return None
    best = [record for record in epochs if record.facts.best][-1]
    last = epochs[-1]
    return Resume(
        epochs=tuple(record.facts for record in epochs),
        last=str(home / str(last.checkpoint)),
        best=str(home / str(best.checkpoint)),
    )

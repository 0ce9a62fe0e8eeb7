"""What becomes of a training's events: the job's progress, its milestones, and its stops."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from db.training_results import EpochFacts
from worker.context import Context
from worker.training.curve import described
from worker.training.events import Advanced, EpochDone, Event, Failed


class Following:
    """One attempt at a training.

    Attributes:
        last: the checkpoint of the last epoch that this attempt trained.
        failure: what a process of the training said when it raised.
        remark: what else there is to say, as long as it goes on.
    """

    def __init__(
        self, context: Context, done: Sequence[EpochFacts], last_epoch: int, on_cpu: bool
    ) -> None:
        self.last: Path | None = None
        self.failure: Failed | None = None
        self.remark: str | None = None
        self._context = context
        self._done = list(done)
        self._before = len(self._done)
        self._last_epoch = last_epoch
        self._on_cpu = on_cpu

    def take(self, event: Event) -> None:
        """Pass an event on.

        Raises:
            Stopped: the job was told to stop.
        """
        match event:
            case Advanced():
                total = self._last_epoch * event.batches
                trained = (event.epoch - 1) * event.batches + event.batch
                self._context.advance(trained, total, "batches", self.note(event.epoch))
            case EpochDone():
                self._keep(event)
            case Failed():
                self.failure = event

    def note(self, epoch: int) -> str:
        """What there is to say of an epoch under way."""
        here = len(self._done) - self._before
        found = described(epoch, self._last_epoch, self._done, here, self._on_cpu)
        return f"{found}, {self.remark}" if self.remark else found

    def _keep(self, event: EpochDone) -> None:
        """Give the checkpoint a name of its own for whoever keeps it, and remove the one before.

        That is done here, and not where they are written: in a process of its own, a training may
        be epochs ahead of what was heard of it.
        """
        name = f"epoch-{event.facts.epoch}.pt"
        os.link(event.checkpoint, self._context.folder / name)
        before, self.last = self.last, event.checkpoint
        self._done.append(event.facts)
        self._context.milestone(event.facts, name)
        if before is not None:
            before.unlink(missing_ok=True)

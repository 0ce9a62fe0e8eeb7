"""Ultralytics' trainer, which tells how it goes and does nothing on its own account in silence."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import polars as pl
from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator
from ultralytics.utils import DEFAULT_CFG, LOCAL_RANK, RANK

from db.training_results import EpochFacts
from worker.offline import stay_offline
from worker.training.events import JOURNAL, Advanced, EpochDone, Event, Failed, Journal
from worker.training.failures import Diverged, OutOfMemory, is_out_of_memory
from worker.training.ranks import die_with_parent

_Trainer: Any = DetectionTrainer  # it has no types


class Trainer(_Trainer):  # type: ignore[misc]
    """The trainer of one attempt.

    With several devices, Ultralytics starts a process for each, which makes a trainer of this class
    by its name and knows nothing of the job: what it tells goes to a journal in the folder.

    Attributes:
        tell: called with each event.
        trained: how many epochs were done when it was resumed from the last of them all; there is
            nothing but the final validation left then. None otherwise.
    """

    last: Path

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: Any = None,
    ) -> None:
        stay_offline()
        if LOCAL_RANK != -1:
            die_with_parent()
        self._validating_best = False
        super().__init__(cfg, overrides, _callbacks)
        self.tell: Callable[[Event], None] = Journal(self.save_dir / JOURNAL).write
        self.trained: int | None = None
        self._batches = 0
        self._first_batch_size: int | None = None

    def train(self) -> None:
        """Train; an error of memory is told as one."""
        try:
            super().train()
        except Exception as error:
            found: BaseException = error
            if is_out_of_memory(error):
                batch = self._first_batch_size or int(self.batch_size)
                found = OutOfMemory(batch, self.args.imgsz, str(self.device))
            if LOCAL_RANK != -1:
                permanent = isinstance(found, Diverged | OutOfMemory)
                self.tell(Failed(error=f"{found}", permanent=permanent))
            if found is error:
                raise
            raise found from error

    def _do_train(self) -> None:
        if self.trained is None:
            super()._do_train()
            return
        self._setup_train()
        self.epoch = self.trained - 1
        self.final_eval()
        if self.args.plots:
            self.plot_metrics()

    def _build_train_pipeline(self) -> None:
        # A second time it is built where memory ran out, and Ultralytics has halved the batch.
        if self._first_batch_size is not None:
            raise OutOfMemory(self._first_batch_size, self.args.imgsz, str(self.device))
        self._first_batch_size = int(self.batch_size)
        super()._build_train_pipeline()

    def resume_training(self, ckpt: Any) -> None:
        """Go on from a checkpoint, with the curve as far as it had come."""
        if self.resume and RANK in {-1, 0}:
            pl.DataFrame(ckpt["train_results"]).write_csv(self.csv)
        if self.trained is None:
            super().resume_training(ckpt)

    def get_validator(self) -> DetectionValidator:
        """The validator of each epoch, and of the best in the end."""
        validator = _Validator(self.test_loader, self.save_dir, copy(self.args), self.callbacks)
        validator.told = self._tell_advance
        return validator

    def run_callbacks(self, event: str) -> None:
        """Follow the training by its own events, in whichever process it runs."""
        super().run_callbacks(event)
        if RANK not in {-1, 0}:
            return
        match event:
            case "on_train_epoch_start":
                self._batches = 0
                # Each epoch's in a file of its own, so that nobody reads one that is written over.
                self.last = self.wdir / f"epoch-{self.epoch + 1}.pt"
            case "on_train_batch_end":
                self._batches += 1
                self._tell_advance()
            case "on_fit_epoch_end" if not self._validating_best:
                self.tell(EpochDone(facts=self._facts(), checkpoint=self.last))

    def _tell_advance(self) -> None:
        batches = len(self.train_loader)
        self.tell(Advanced(epoch=self.epoch + 1, batch=self._batches, batches=batches))

    def _facts(self) -> EpochFacts:
        losses = {name: float(value) for name, value in self.tloss.items()}
        metrics = {name: float(value) for name, value in self.metrics.items()}
        validation = {name: metrics[f"val/{name}"] for name in losses}
        return EpochFacts(
            epoch=self.epoch + 1,
            **losses,
            **{
                f"val_{name}": value if math.isfinite(value) else None
                for name, value in validation.items()
            },
            precision=metrics["metrics/precision(B)"],
            recall=metrics["metrics/recall(B)"],
            map50=metrics["metrics/mAP50(B)"],
            map50_95=metrics["metrics/mAP50-95(B)"],
            learning_rates=tuple(float(rate) for rate in self.lr.values()),
            seconds=float(self.epoch_time),
            best=bool(self.fitness == self.best_fitness),
            final=bool(self.stop),
        )

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Fail where Ultralytics would go back to the last checkpoint and try again, unseen."""
        if RANK in {-1, 0}:
            numbers = [self.loss.detach(), *self.tloss.values(), self.fitness]
            if not all(math.isfinite(float(number)) for number in numbers):
                raise Diverged(epoch + 1)
        return False

    def final_eval(self) -> None:
        """Validate the best epoch's weights; the last checkpoint keeps its optimiser's state."""
        self._validating_best = True
        stripped = self.wdir / "stripped.pt"
        whole, self.last = self.last, stripped
        if RANK in {-1, 0}:
            shutil.copyfile(whole, stripped)
        super().final_eval()
        self.last = whole
        if RANK in {-1, 0}:
            stripped.unlink()


class _Validator(DetectionValidator):
    """The validator, with a sign of life after each batch."""

    told: Callable[[], None]

    def run_callbacks(self, event: str) -> None:
        super().run_callbacks(event)
        if event == "on_val_batch_end" and RANK in {-1, 0}:
            self.told()

"""Files on their way between this machine and where they are kept, beside the one who waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import PurePosixPath

from db.errors import Stopped
from db.job_records import Job
from db.layout import attempt_address, checkpoints_address, model_address
from db.prediction_results import ANNOTATED
from db.results import Result
from db.specs import (
    AnySpec,
    CompareSpec,
    DetectSpec,
    EvaluateSpec,
    PredictSpec,
    RegisterSpec,
    TrackSpec,
    TrainSpec,
)
from db.storage import Moving, Storage
from db.training_results import TrainResult
from worker.detection.key import DetectionKey


class Transfer:
    """One move of files, in a thread of its own.

    Attributes:
        moved: bytes that were moved so far.
        error: what ended it, if something did.
    """

    def __init__(self, move: Callable[[Moving], None]) -> None:
        self.moved = 0
        self.error: Exception | None = None
        self._move = move
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; returns whether it has come."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def give_up(self) -> None:
        """End it at its next bytes; nobody waits for it any more."""
        self._given_up.set()

    def _run(self) -> None:
        try:
            self._move(self._moving)
        except Stopped:
            return
        except Exception as error:
            self.error = error

    def _moving(self, moved: int) -> None:
        self.moved += moved
        if self._given_up.is_set():
            raise Stopped


def fetch(storage: Storage, job: Job, spec: AnySpec, device: str, moving: Moving) -> None:
    """Bring what a job needs here, and remove what earlier attempts at it left behind.

    Raises:
        StorageError: the store does not answer.
        OSError: the files cannot be written here.
    """
    for number in range(1, job.attempt):
        storage.remove(attempt_address(job.id, number))  # they were killed: no row points there
    if isinstance(spec, TrackSpec | DetectSpec | EvaluateSpec | PredictSpec):
        storage.fetch_file(model_address(spec.model_sha256), spec.model_sha256, moving)
    if isinstance(spec, CompareSpec):
        for sha256 in spec.model_sha256s:
            storage.fetch_file(model_address(sha256), sha256, moving)
    if isinstance(spec, TrainSpec) and spec.base_sha256:
        storage.fetch_file(model_address(spec.base_sha256), spec.base_sha256, moving)
    if isinstance(spec, TrainSpec) and spec.extends:
        last = PurePosixPath(spec.extends.checkpoint)
        storage.fetch_file(last, spec.extends.sha256, moving)
    if isinstance(spec, TrackSpec):
        storage.fetch_folders(DetectionKey.of(spec, device).parts_address, moving)
    elif isinstance(spec, DetectSpec):
        storage.fetch_folder(DetectionKey.of(spec, device).address, moving)


def publish(storage: Storage, job: Job, result: Result, device: str, moving: Moving) -> None:
    """Keep what a job has left here, before a row points to it.

    Raises:
        StorageError: the store does not answer, or refuses.
    """
    folder = attempt_address(job.id, job.attempt)
    for file in result.files:
        storage.publish_file(folder / file.name, moving)
    spec = job.parsed_spec
    if isinstance(spec, RegisterSpec):
        storage.publish_file(model_address(spec.weights_sha256), moving)
    elif isinstance(spec, PredictSpec):
        storage.publish_folder(folder / ANNOTATED, moving)
    elif isinstance(result, TrainResult):
        storage.publish_file(model_address(result.model_sha256), moving)
    elif isinstance(spec, TrackSpec | DetectSpec):
        storage.publish_folder(DetectionKey.of(spec, device).address, moving)


def discard(storage: Storage, job: Job, moving: Moving) -> None:
    """Remove what an attempt has left, and the copies of what a training can go on from."""
    storage.remove(attempt_address(job.id, job.attempt))
    storage.release(checkpoints_address(job.id))

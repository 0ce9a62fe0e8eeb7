"""What a job may ask of the one who runs it: where to write, and whether to go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from db.errors import Stopped
from db.job_records import Progress
from db.training_results import EpochFacts
from worker.wire import Resume

# Often enough to look alive, seldom enough to cost nothing.
_REPORT_EVERY_S = 0.25


def _nobody_listens(progress: Progress) -> None:
    return None


def _nobody_keeps(epoch: EpochFacts, checkpoint: str) -> None:
    return None


def _nobody_stops() -> bool:
    return False


@dataclass(slots=True)
class Context:
    """The surroundings of one job; in a notebook, `Context(home, folder)` is enough.

    Attributes:
        home: where models and detections are kept.
        folder: where the job writes its files; it exists.
        device: `cpu`, `cuda:0`.
        roots: folders that inputs must lie under, symbolic links resolved.
        segment_s: a longer video is split into segments of about this many seconds, jobs of their
            own; None where there is nobody to run them.
        report: called with the progress, a few times a second.
        stop_wanted: asked at every checkpoint.
        resume: what a training that was begun before goes on with.
        milestone: called as an epoch of a training ends, with the name of a file in `folder` from
            which it can go on; that is the caller's then.
    """

    home: Path
    folder: Path
    device: str = "cpu"
    roots: tuple[Path, ...] = (Path("/"),)
    segment_s: float | None = None
    report: Callable[[Progress], None] = _nobody_listens
    stop_wanted: Callable[[], bool] = _nobody_stops
    resume: Resume | None = None
    milestone: Callable[[EpochFacts, str], None] = _nobody_keeps
    _reported_at: float = field(default=float("-inf"), init=False)

    def checkpoint(self) -> None:
        """A point at which the job can be stopped without harm.

        Raises:
            Stopped: somebody wants it to.
        """
        if self.stop_wanted():
            raise Stopped

    def advance(self, done: float, total: float | None, unit: str, note: str | None = None) -> None:
        """Say how far the job is; a checkpoint as well.

        Raises:
            Stopped: somebody wants the job to stop.
        """
        self.checkpoint()
        moment = time.monotonic()
        if moment - self._reported_at >= _REPORT_EVERY_S or done == total:
            self._reported_at = moment
            self.report(Progress(done, total, unit, note))

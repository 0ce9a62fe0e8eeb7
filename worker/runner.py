"""The child process that runs jobs, one at a time; it may be killed at any moment.

It has no credentials and speaks to neither SQL nor Redis: it reads what to do from its standard
input and writes what it found to its standard output (`worker.wire`). It lives in a session of
its own and dies with the worker that started it.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import resource
import sys
import threading
import traceback
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from db.errors import PermanentError, Stopped
from db.job_records import Progress
from db.training_results import EpochFacts
from worker.context import Context
from worker.wire import (
    Advanced,
    Broke,
    Done,
    EpochEnded,
    FromRunner,
    Halted,
    Run,
    Stop,
    to_runner,
)

# The most bytes that one file of a job may have: a mistake must not fill the disk.
_MAX_FILE_BYTES = 64 * 2**30


class _Worker:
    """The worker at the other end of the pipe."""

    def __init__(self, inbound: IO[str], outbound: IO[str]) -> None:
        self._outbound = outbound
        self._runs: queue.SimpleQueue[Run] = queue.SimpleQueue()
        self._stop = threading.Event()
        threading.Thread(target=self._listen, args=(inbound,), daemon=True).start()

    def _listen(self, inbound: IO[str]) -> None:
        for line in inbound:
            match to_runner.validate_json(line):
                case Run() as run:
                    self._stop.clear()
                    self._runs.put(run)
                case Stop():
                    self._stop.set()
        os._exit(0)  # the worker is gone: nobody waits for what a job might still find

    def next_run(self) -> Run:
        """The next job; waits for it."""
        return self._runs.get()

    def stop_wanted(self) -> bool:
        """Whether the job that runs is to stop."""
        return self._stop.is_set()

    def tell(self, message: FromRunner) -> None:
        """Send a message."""
        self._outbound.write(message.model_dump_json() + "\n")
        self._outbound.flush()

    def report(self, progress: Progress) -> None:
        """Send how far the job is."""
        self.tell(
            Advanced(
                done=progress.done,
                total=progress.total,
                unit=progress.unit,
                note=progress.note,
            )
        )

    def keep(self, epoch: EpochFacts, checkpoint: str) -> None:
        """Hand over the checkpoint of an epoch that has ended."""
        self.tell(EpochEnded(epoch=epoch, checkpoint=checkpoint))


def _run(run: Run, device: str, worker: _Worker) -> FromRunner:
    context = Context(
        home=Path(run.home),
        folder=Path(run.folder),
        device=device,
        roots=tuple(map(Path, run.roots)),
        segment_s=run.segment_s,
        report=worker.report,
        stop_wanted=worker.stop_wanted,
        resume=run.resume,
        milestone=worker.keep,
    )
    try:
        context.folder.mkdir(parents=True, exist_ok=True)
        job: Any = import_module(f"worker.jobs.{run.spec.kind}")
        return Done(result=job.run(run.spec, context))
    except Stopped:
        return Halted()
    except Exception as error:
        return Broke(
            error=_one_line(error),
            traceback=traceback.format_exc(),
            permanent=isinstance(error, PermanentError),
        )


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, PermanentError) else f"{type(error).__name__}: {text}"


def _limit_resources() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    soft = _MAX_FILE_BYTES if hard == resource.RLIM_INFINITY else min(_MAX_FILE_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def main(device: str) -> None:
    """Run jobs until the worker goes away."""
    _limit_resources()
    faulthandler.enable()
    # Libraries print: what they print to standard output goes to the log, and not between
    # our messages.
    outbound = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = _Worker(sys.stdin, outbound)
    while True:
        run = worker.next_run()
        worker.tell(_run(run, device, worker))


if __name__ == "__main__":
    main(sys.argv[1])

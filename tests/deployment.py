"""A deployment of real processes for acceptance tests: workers and reconcilers, to be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine

from db import job_records
from db.dialect import engine, reading
from db.job_records import Job
from db.states import State

REPOSITORY = Path(__file__).parent.parent
WEIGHTS = REPOSITORY / "demo" / "products.pt"

# Faults are told from life within seconds instead of a minute.
QUICK = {
    "NIGHTSHELF_LEASE_S": "4",
    "NIGHTSHELF_HEARTBEAT_S": "1",
    "NIGHTSHELF_PROGRESS_S": "0.2",
    "NIGHTSHELF_RECONCILE_S": "0.5",
    "NIGHTSHELF_RING_AGAIN_S": "2",
    "NIGHTSHELF_RETRY_BACKOFF_S": "0.2",
    "NIGHTSHELF_STOP_GRACE_S": "10",
    "NIGHTSHELF_DEVICES": "cpu",
}


class Deployment:
    """The parts of Nightshelf around one home, database and broker."""

    def __init__(self, home: Path, database_url: str, broker_url: str, **settings: str) -> None:
        self.home = home
        self.database: Engine = engine(database_url)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("NIGHTSHELF_")}
        self.environment = (
            inherited
            | QUICK
            | {
                "NIGHTSHELF_HOME": str(home),
                "NIGHTSHELF_DATABASE_URL": database_url,
                "NIGHTSHELF_BROKER_URL": broker_url,
                **settings,
            }
        )
        self._log = (home / "log").open("ab")
        self._started: list[psutil.Popen] = []

    def start(self, *command: str) -> psutil.Popen:
        """Start `nightshelf COMMAND`; its output goes to the log."""
        process = psutil.Popen(
            [sys.executable, "-m", "producer", *command],
            env=self.environment,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def cli(self, *arguments: str, code: int = 0) -> str:
        """Run `nightshelf ARGUMENTS`, which must end with this exit code; returns its output."""
        done = self._run(*arguments, code=code)
        return done.stdout + done.stderr

    def cli_json(self, *arguments: str, code: int = 0) -> Any:
        """The same with `--json`, read."""
        return json.loads(self._run(*arguments, "--json", code=code).stdout)

    def _run(self, *arguments: str, code: int) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "producer", *arguments],
            env=self.environment,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, (
            f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done

    def enqueue(self, video: Path, *options: str) -> int:
        """Enqueue a new `track` job with the model `products`; returns its id."""
        [job] = self.cli_json("track", str(video), "--model", "products", *options)
        assert job["new"], f"job {job['id']} does the same"
        return int(job["id"])

    def processes(self, part: str) -> list[psutil.Process]:
        """The live processes of this deployment whose command line has `part` in it, by age."""
        found = [one for one in self._everything() if part in _command(one)]
        # Not one that is about to become what its command line names.
        found = [one for one in found if "db.processes" not in _command(one)]
        return sorted(found, key=lambda one: one.pid)

    def _everything(self) -> list[psutil.Process]:
        """Every live process of this deployment, orphans too.

        Each has the home's name in its environment, or, where it wrote over that, in its title.
        """
        # Whoever waits for a child of ours has to do so by what started it.
        started = {process.pid: process for process in self._started}
        return [
            started.get(one.pid, one)
            for one in psutil.process_iter()
            if (bytes(self.home) in _environment(one.pid) or str(self.home) in _command(one))
            and _alive(one)
        ]

    def supervisors(self) -> list[psutil.Process]:
        """What `nightshelf worker` becomes."""
        return [one for one in self.processes("-m worker") if _command(one).endswith("-m worker")]

    def runner(self) -> psutil.Process:
        """The runner, which there must be one of."""
        [runner] = self.processes("worker.runner")
        return runner

    def job(self, job_id: int) -> Job:
        """A job as the database has it."""
        with reading(self.database) as tx:
            return job_records.get(tx, job_id)

    def outcomes(self, job_id: int) -> list[str | None]:
        """How each attempt at a job ended."""
        with reading(self.database) as tx:
            return [attempt.outcome for attempt in job_records.attempts(tx, job_id)]

    def until(self, what: Callable[[], Any], timeout_s: float = 90) -> None:
        """Wait until something is true."""
        limit = time.monotonic() + timeout_s
        while not what():
            if time.monotonic() > limit:
                self._log.flush()
                tail = (self.home / "log").read_text(errors="replace")[-6000:]
                raise AssertionError(f"it did not come true in {timeout_s:g} s; the log:\n{tail}")
            time.sleep(0.05)

    def until_over(self, *job_ids: int, timeout_s: float = 120) -> None:
        """Wait until jobs have ended."""
        self.until(lambda: all(self.job(one).over for one in job_ids), timeout_s)

    def until_under_way(self, job_id: int, frames: int = 20) -> None:
        """Wait until a job has detected some frames, and is not nearly done."""
        self.until(
            lambda: (
                self.job(job_id).progress_note == "detecting"
                and self.job(job_id).progress_done >= frames
            )
        )
        job = self.job(job_id)
        assert job.state is State.RUNNING
        assert job.progress_done < (job.progress_total or 0) * 0.8, "the clip is too short"

    def stop(self) -> None:
        """Stop what still runs, and make sure that nothing is left."""
        for process in self._started:
            if _alive(process):
                process.send_signal(signal.SIGTERM)
        for process in self._started:
            process.wait(60)
        self.assert_nothing_left()

    def close(self) -> None:
        """Stop what still runs, for good."""
        try:
            self.stop()
        finally:
            for one in self._everything():  # a failed test takes its processes with it
                one.kill()
            self._log.close()
            self.database.dispose()

    def assert_nothing_left(self) -> None:
        """Fail if a process of this deployment is alive; a zombie is not."""
        limit = time.monotonic() + 10
        while left := self._everything():
            assert time.monotonic() < limit, [_command(one) for one in left]
            time.sleep(0.05)


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""  # it has ended, or is somebody else's


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


@contextmanager
def deployment(
    home: Path, database_url: str, broker_url: str, **settings: str
) -> Iterator[Deployment]:
    """A deployment that leaves nothing running."""
    made = Deployment(home, database_url, broker_url, **settings)
    try:
        yield made
    finally:
        made.close()

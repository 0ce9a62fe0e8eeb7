"""What a test breaks in the processes of its deployment, and jobs that take no model to run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from db import queue
from db.job_records import Job
from db.settings import Settings
from tests.deployment import REPOSITORY, Deployment
from tests.servers import Valkey

_FAULTS = REPOSITORY / "tests" / "faults"


def simulated_jobs() -> dict[str, str]:
    """Settings of a deployment whose `track` jobs do what their "video" says."""
    return {"PYTHONPATH": str(_FAULTS), "PYTHON_SIMULATED": "1"}


def crash_at(module: str, function: str, moment: str, once: Path) -> dict[str, str]:
    """Settings of a deployment that is killed once: `before` or `after` a function.

    Args:
        module: for example `worker.execution`.
        function: a name in it, `Class.method` too.
        moment: `before` or `after`.
        once: a file that does not exist; it does after the crash.
    """
    return {
        "PYTHONPATH": str(_FAULTS),
        "PYTHON_CRASH_AT": f"{module}:{function}:{moment}",
        "PYTHON_CRASH_ONCE": str(once),
    }


@dataclass(frozen=True, slots=True)
class Pause:
    """A process of the deployment pauses once: `before` or `after` a function.

    Attributes:
        where: for example `db.jobs:reap:before`; `worker.execution:Execution.run:after`.
        file: one that does not exist; it does when the pause has begun.
    """

    where: str
    file: Path

    @property
    def settings(self) -> dict[str, str]:
        """Settings of a deployment that pauses there."""
        return {
            "PYTHONPATH": str(_FAULTS),
            "PYTHON_PAUSE_AT": self.where,
            "PYTHON_PAUSE_FILE": str(self.file),
        }

    @property
    def begun(self) -> bool:
        """Whether a process has come there."""
        return self.file.exists()

    def end(self) -> None:
        """Let the process go on."""
        self.file.with_name(f"{self.file.name}.go").touch()


def work(folder: Path, name: str, **wanted: Any) -> Path:
    """A "video" for simulated jobs, which do what it says (`tests/faults/simulated_track.py`).

    Jobs are one per content: so that two are not the same, the name goes into the file.
    """
    path = folder / f"{name}.mp4"
    path.write_text(json.dumps({"name": name} | wanted))
    return path


def enqueue(deployed: Deployment, *works: Path, priority: str = "normal") -> list[int]:
    """Enqueue simulated work for the model `products`; returns the jobs' ids."""
    options = ("--model", "products", "--priority", priority)
    return [int(job["id"]) for job in deployed.cli_json("track", *map(str, works), *options)]


def send(broker: Valkey, job: Job, times: int) -> None:
    """Put messages for a job on its queue, whatever the protocol thinks of it."""
    app = queue.make_app(Settings(broker_url=SecretStr(broker.url)))
    for _ in range(times):
        app.send_task(
            f"nightshelf.{job.kind}", args=(job.id,), task_id=str(job.id), queue=job.queue
        )
    app.close()

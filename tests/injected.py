"""What a test breaks in the processes of its deployment, and jobs that take no model to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.deployment import REPOSITORY, Deployment

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


def work(folder: Path, name: str, **wanted: Any) -> Path:
    """A "video" for simulated jobs, which do what it says (`tests/faults/simulated_track.py`).

    Jobs are one per content: so that two are not the same, the name goes into the file.
    """
    path = folder / f"{name}.mp4"
    path.write_text(json.dumps({"name": name} | wanted))
    return path


def enqueue(deployed: Deployment, *works: Path) -> list[int]:
    """Enqueue simulated work for the model `products`; returns the jobs' ids."""
    jobs = deployed.cli_json("track", *map(str, works), "--model", "products")
    return [int(job["id"]) for job in jobs]

"""What a training costs as a job, beside `YOLO.train` with the same arguments, in the same run.

`python -m bench.training_overhead [--pairs 3] [--epochs 4]`: each of a pair has a process of its
own and ends with the same files; the job is claimed, resumable after each epoch, and recorded.
On a machine that does other things too, the time of the processors says more than the clock.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from db import job_creation, jobs, results, schema
from db.dataset_files import find_dataset, sha256_of_dataset
from db.dialect import engine, reading
from db.files import sha256_of
from db.jobs import Claimant
from db.layout import model_address
from db.model_results import RegisterResult
from db.settings import Settings
from db.specs import RegisterSpec, Spec, TrainSpec
from demo.dataset import Shoot, write_dataset
from worker.execution import Execution
from worker.ultralytics_env import ultralytics_environment

WEIGHTS = Path(__file__).parent.parent / "demo" / "products.pt"
WORKER = Claimant("bench", "here", "cpu")
SHOOTS = (
    Shoot("train", first_seed=95_000, belts=4, shelves=4, frames=8),
    Shoot("val", first_seed=96_000, belts=2, shelves=2, frames=4),
)

_PLAIN = """\
import json, sys
from ultralytics import YOLO
weights, arguments = sys.argv[1], json.loads(sys.argv[2])
YOLO(weights).train(**arguments)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took.

    Attributes:
        wall_s: seconds by the clock.
        cpu_s: seconds of processors, of this process and of those that it started.
    """

    wall_s: float
    cpu_s: float


def cost(work: Callable[[], None]) -> Cost:
    """What a piece of work takes, whose processes have ended when it returns."""
    began, before = time.perf_counter(), _cpu_s()
    work()
    return Cost(time.perf_counter() - began, _cpu_s() - before)


def _cpu_s() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in usages)


def plain(data: Path, folder: Path, arguments: dict[str, Any]) -> None:
    """`YOLO.train` in a process of its own."""
    given = arguments | {
        "data": str(data),
        "device": "cpu",
        "workers": 0,
        "verbose": False,
        "project": str(folder),
        "name": "plain",
        "exist_ok": True,
    }
    shutil.rmtree(folder, ignore_errors=True)
    for cache in data.parent.rglob("*.cache"):
        cache.unlink()
    subprocess.run(
        [sys.executable, "-c", _PLAIN, str(WEIGHTS), json.dumps(given)],
        env=os.environ | ultralytics_environment(folder.parent),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


class Office:
    """A database and a home, in which a worker runs one job at a time."""

    def __init__(self, home: Path) -> None:
        self._config = Settings(home=home)
        self._engine = engine(self._config.database)
        schema.upgrade(self._engine)
        self._register()

    def job(self, spec: Spec) -> None:
        """A job from its request to its last row, with a runner that is started for it."""
        with self._engine.begin() as tx:
            job, _ = job_creation.create(tx, spec, max_attempts=1, force=True)
        execution = Execution(self._engine, self._config, WORKER)
        execution.run(job.id)
        execution.close()

    def epochs(self) -> int:
        """How many were trained so far."""
        with reading(self._engine) as tx:
            return int(tx.scalar(text("SELECT COUNT(*) FROM training_epochs")) or 0)

    def _register(self) -> None:
        kept = self._config.home / model_address(sha256_of(WEIGHTS))
        kept.parent.mkdir(parents=True)
        shutil.copyfile(WEIGHTS, kept)
        spec = RegisterSpec(
            name="products", weights=str(WEIGHTS), weights_sha256=sha256_of(WEIGHTS)
        )
        facts = RegisterResult(
            task="detect",
            architecture="model",
            class_names=("apple",),
            parameters=1,
            size_bytes=kept.stat().st_size,
        )
        with self._engine.begin() as tx:
            job, _ = job_creation.create(tx, spec, max_attempts=1)
            lease = jobs.claim(tx, job.id, WORKER, 60)
            assert lease is not None
            jobs.finish(tx, lease)
            results.write(tx, lease.job, facts)


def main() -> None:
    """Measure, and print the ratio of each pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    asked = parser.parse_args()
    logging.disable(logging.WARNING)  # there is no broker to be rung
    arguments = {"epochs": asked.epochs, "imgsz": 320, "batch": 8, "seed": 1}
    with tempfile.TemporaryDirectory(prefix="ns-") as name:
        data = write_dataset(Path(name) / "data", SHOOTS)
        spec = TrainSpec(
            name="bench",
            base="products@1",
            base_sha256=sha256_of(WEIGHTS),
            dataset="scenes",
            data=str(data),
            dataset_sha256=sha256_of_dataset(find_dataset(data), lambda done, total: None),
            **arguments,
        )
        office = Office(Path(name) / "home")
        pairs: list[tuple[Cost, Cost]] = []
        for number in range(asked.pairs):
            # Turn and turn about, so that neither has the quieter half of the time.
            both = [
                lambda: office.job(spec),
                lambda: plain(data, Path(name) / "runs", arguments),
            ]
            costs = [cost(both[place]) for place in ((0, 1) if number % 2 else (1, 0))]
            ours, theirs = costs if number % 2 else reversed(costs)
            pairs.append((ours, theirs))
            print(f"job {_shown(ours)}; plain {_shown(theirs)}")
        assert office.epochs() == asked.pairs * asked.epochs, "a job failed"
    _print_ratios("clock", [ours.wall_s / theirs.wall_s for ours, theirs in pairs])
    _print_ratios("processors", [ours.cpu_s / theirs.cpu_s for ours, theirs in pairs])
    print("the goal is at most 1.03")


def _shown(one: Cost) -> str:
    return f"{one.wall_s:.1f} s by the clock, {one.cpu_s:.1f} s of processors"


def _print_ratios(of: str, ratios: list[float]) -> None:
    print(
        f"job / plain, {of}: median {statistics.median(ratios):.3f} of {len(ratios)} pairs "
        f"({min(ratios):.3f} to {max(ratios):.3f})"
    )


if __name__ == "__main__":
    main()

"""One Celery task per job kind, each a line: what runs a job is `worker.execution`."""

from __future__ import annotations

import socket
from typing import Any

from celery import signals
from celery.exceptions import Ignore

from db import logs
from db.dialect import engine
from db.jobs import Claimant
from db.queue import app
from db.settings import settings
from worker.execution import Execution

_executions: list[Execution] = []


@signals.celeryd_init.connect  # type: ignore[untyped-decorator]
def _log(sender: str, **_: Any) -> None:
    """Log as the settings say, before Celery has anything to say."""
    config = settings()
    logs.configure(config, worker=sender, device=config.device)


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _keep_the_log(**_: Any) -> None:
    """Celery sets its own log up where nobody answers this."""


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def _begin(sender: Any, **_: Any) -> None:
    """Become a claimant under the name that the supervisor gave: new at every start."""
    config = settings()
    claimant = Claimant(sender.hostname, socket.gethostname(), config.device)
    _executions.append(Execution(engine(config.database), config, claimant))


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _stop(**_: Any) -> None:
    """Tell the job that runs to stop at its next checkpoint."""
    for execution in _executions:
        execution.stopping.set()


@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]
def _end(**_: Any) -> None:
    for execution in _executions:
        execution.close()


def _run(job_id: int) -> None:
    if not _executions[0].run(job_id):
        raise Ignore  # a surplus message: Flower must not show it as a success


@app.task(name="nightshelf.track")  # type: ignore[untyped-decorator]
def track(job_id: int) -> None:
    """Detect and track the products in a video."""
    _run(job_id)


@app.task(name="nightshelf.detect")  # type: ignore[untyped-decorator]
def detect(job_id: int) -> None:
    """Look at one segment of a video."""
    _run(job_id)


@app.task(name="nightshelf.check")  # type: ignore[untyped-decorator]
def check(job_id: int) -> None:
    """Look through a data set."""
    _run(job_id)


@app.task(name="nightshelf.evaluate")  # type: ignore[untyped-decorator]
def evaluate(job_id: int) -> None:
    """Measure a model on a data set."""
    _run(job_id)


@app.task(name="nightshelf.compare")  # type: ignore[untyped-decorator]
def compare(job_id: int) -> None:
    """Measure models on the same images."""
    _run(job_id)


@app.task(name="nightshelf.predict")  # type: ignore[untyped-decorator]
def predict(job_id: int) -> None:
    """Look at images with a model."""
    _run(job_id)


@app.task(name="nightshelf.train")  # type: ignore[untyped-decorator]
def train(job_id: int) -> None:
    """Train a model."""
    _run(job_id)


@app.task(name="nightshelf.register")  # type: ignore[untyped-decorator]
def register(job_id: int) -> None:
    """Register a checkpoint."""
    _run(job_id)

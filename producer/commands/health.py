"""`nightshelf healthy`: what a container's health check runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Part(StrEnum):
    """A part of a deployment, by the command that starts it."""

    WORKER = "worker"
    RECONCILE = "reconcile"


def healthy(
    part: Annotated[Part, typer.Argument(help="Which part: the workers of this host, or …")],
) -> None:
    """Say whether a part does its work, and end with 0 if so: for health checks.

    A worker is healthy that runs a job, or that answers while no job has been due for long; a
    reconciler, while nothing that died or is due lies about.
    """
    import socket

    from producer import health
    from producer.enqueue import database

    if part is Part.WORKER:
        typer.echo(health.check_worker(database(), socket.gethostname()))
    else:
        typer.echo(health.check_reconciler(database()))

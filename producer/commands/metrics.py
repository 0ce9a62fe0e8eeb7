"""`nightshelf metrics`."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer


def metrics(
    serve: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Answer scrapes on this port.", metavar="PORT"),
    ] = None,
    address: Annotated[
        str, typer.Option(help="The address to listen on; there is no password.")
    ] = "127.0.0.1",
) -> None:
    """Print jobs, attempts, leases and frames for Prometheus, or serve them until told to stop.

    Example: `nightshelf metrics --serve 9464`
    """
    from prometheus_client import generate_latest, start_http_server

    from db.dialect import engine
    from db.metrics import registry
    from db.settings import settings
    from producer.enqueue import database

    if serve is None:
        typer.echo(generate_latest(registry(database())), nl=False)
        return
    stop = threading.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda *_: stop.set())
    # A database that is away is what a scrape has to tell.
    server, thread = start_http_server(serve, address, registry(engine(settings().database)))
    typer.echo(f"Metrics: http://{address}:{serve}/metrics", err=True)
    stop.wait()
    server.shutdown()
    server.server_close()
    thread.join()

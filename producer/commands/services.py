"""`nightshelf up`, and its parts one by one: `worker`, `reconcile`, `flower`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Annotated, NoReturn

import typer


def up(
    with_flower: Annotated[
        bool, typer.Option("--flower/--no-flower", help="Start Flower, on loopback.")
    ] = True,
) -> None:
    """Start everything on this machine (broker, database, worker, reconciler, Flower).

    Runs until Ctrl-C, which lets the worker hand its job back and leaves nothing running; what
    was not done resumes at the next start.
    """
    from db.dialect import engine, reading
    from db.job_records import count_by_state, listing
    from db.settings import settings
    from db.states import LIVE
    from producer import console
    from producer.embedded import Embedded

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    for wanted in (signal.SIGTERM, signal.SIGINT):  # a shell's `&` has SIGINT ignored
        signal.signal(wanted, interrupt)
    config = settings()
    with Embedded(config, with_flower=with_flower) as embedded:
        console.stdout.print(f"Nightshelf is up in {config.home} (log: {embedded.log_file.name}).")
        if with_flower:
            console.stdout.print(f"Flower: http://127.0.0.1:{config.flower_port}")
        console.stdout.print("Stop with Ctrl-C. In another terminal: nightshelf track --help")
        try:
            while True:
                for name in embedded.look():
                    console.stderr.print(
                        f"{name} ended and is started again: see {embedded.log_file}"
                    )
                time.sleep(0.5)
        except KeyboardInterrupt:
            console.stdout.print("Stopping; the job that runs is handed back …")
    with reading(engine(config.database)) as tx:
        number = count_by_state(tx)
        left = sum(number.get(state, 0) for state in LIVE)
        resumes = listing(tx, states=LIVE, limit=5)
    if not left:
        console.stdout.print("Stopped. Nothing is left to do.")
        return
    console.stdout.print(f"Stopped. {left} to resume at the next `nightshelf up`:")
    for job in reversed(resumes):
        console.stdout.print(f"  job {job.id}  {job.kind}  {job.label}")
    if left > len(resumes):
        console.stdout.print(f"  and {left - len(resumes)} before them: nightshelf jobs list")


def worker() -> None:
    """Run jobs, one at a time on each device, until told to stop (SIGTERM or Ctrl-C).

    Devices are those of `NIGHTSHELF_DEVICES`; by default every CUDA device, or else the CPU.
    """
    from db.settings import settings

    settings()  # a mistake in one is told here and not by the many processes to come
    os.execv(sys.executable, [sys.executable, "-m", "worker"])  # noqa: S606 - no shell is wanted


def reconcile(
    once: Annotated[bool, typer.Option("--once", help="One pass, then end.")] = False,
) -> None:
    """Queue again what died and ring again for what was forgotten, until told to stop.

    At least one must run; any number may.
    """
    from db import logs
    from db.settings import settings
    from producer import reconcile as reconciler
    from producer.enqueue import database

    config = settings()
    logs.configure(config)
    found = database()
    if once:
        done = reconciler.reconcile_once(found, config)
        typer.echo(f"{len(done.reaped)} reaped, {len(done.rung)} rung for")
        return
    stop = threading.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda *_: stop.set())
    reconciler.reconcile(found, config, stop)


def flower() -> None:
    """Run Flower on loopback, read-only.

    Flower's `terminate` means nothing to a running job: `nightshelf jobs cancel` does.
    """
    from db.settings import settings

    config = settings()
    # By the environment and not as options: a process list shows those.
    os.environ.setdefault("FLOWER_READ_ONLY", "true")
    if login := config.flower_auth.get_secret_value():
        os.environ["FLOWER_BASIC_AUTH"] = login
    command = [sys.executable, "-m", "celery", "--app", "db.queue", "flower"]
    command += ["--address=127.0.0.1", f"--port={config.flower_port}", "--logging=warning"]
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted

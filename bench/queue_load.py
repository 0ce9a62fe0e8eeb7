"""What a long queue costs, beside a short one and beside plain Celery, in the same run.

`python -m bench.queue_load [--jobs 10000]`: needs PostgreSQL's programs for its second table.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from celery import Celery
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, Engine

from db import backlog, job_records, jobs, queue, rings, schema
from db.dialect import engine
from db.jobs import Claimant, Lease
from db.settings import settings
from db.specs import TrackSpec
from producer.enqueue import enqueue
from producer.follow import watch
from tests import servers

FEW = 10
REPEATS = 31
WORKER = Claimant("bench", "here", "cpu")

_videos = itertools.count()


def footage(count: int) -> Iterator[TrackSpec]:
    """Requests to track so many videos that nobody asked for before."""
    for number in itertools.islice(_videos, count):
        content = hashlib.sha256(str(number).encode()).hexdigest()
        path = f"/footage/store-{number // 100:03d}/{number:05d}.mp4"
        yield TrackSpec(video=path, video_sha256=content, model="m", model_sha256="0" * 64)


def use(database_url: str, broker_url: str) -> Engine:
    """Make this process a producer for a new database."""
    os.environ["NIGHTSHELF_DATABASE_URL"] = database_url
    os.environ["NIGHTSHELF_BROKER_URL"] = broker_url
    settings.cache_clear()
    queue.app = queue.make_app(settings())
    made = engine(database_url)
    schema.upgrade(made)
    return made


def used_bytes(broker: servers.Valkey) -> int:
    """Memory that the broker's data takes."""
    with broker.client() as client:
        return int(client.info("memory")["used_memory_dataset"])


def beside_celery(broker: servers.Valkey, count: int) -> list[tuple[float, float]]:
    """Enqueue so many jobs, and send as many messages as a plain Celery program does.

    Returns:
        milliseconds (medians of ten alternate turns) and bytes of the broker, ours and theirs,
        for each job.
    """
    app = Celery("plain", broker=broker.url)

    def plain(messages: int) -> None:
        for number in range(messages):
            app.send_task("plain.track", args=(number,), queue="plain")

    def ours(messages: int) -> None:
        enqueue(footage(messages))

    took: list[list[float]] = [[], []]
    grown = [0, 0]
    turn = count // 10
    for number in range(11):
        for send, seconds, which in ((ours, took[0], 0), (plain, took[1], 1)):
            before, start = used_bytes(broker), time.perf_counter()
            send(turn if number else 1)  # the first only connects
            if number:
                seconds.append(1000 * (time.perf_counter() - start) / turn)
                grown[which] += used_bytes(broker) - before
    return [
        (statistics.median(took[0]), statistics.median(took[1])),
        (max(0, grown[0]) / count, grown[1] / count),
    ]


class Turn:
    """One database, and the steps of which a turn of its queue consists."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._ids = itertools.count(1)
        self._lease: Lease | None = None
        self._sights = watch(every_s=0)
        next(self._sights)  # which reads them all; every look after it reads what is new
        self.steps: dict[str, Callable[[], object]] = {
            "ring for the next": self._transaction(self._ring),
            "claim": self._transaction(self._claim),
            "finish": self._transaction(self._finish),
            "a reconciler's look": self._transaction(self._reconcile),
            "jobs list": self._transaction(lambda tx: job_records.listing(tx, limit=50)),
            "oldest due job": self._transaction(backlog.longest_waiting),
            "jobs by state": self._transaction(job_records.count_by_state),
            "jobs watch, a look": lambda: next(self._sights),
        }

    def _transaction(self, step: Callable[[Connection], object]) -> Callable[[], object]:
        def run() -> None:
            with self._database.begin() as tx:
                step(tx)

        return run

    def _ring(self, tx: Connection) -> None:
        rings.to_ring(tx, 4, 30, dict.fromkeys(queue.QUEUES, 4))

    def _claim(self, tx: Connection) -> None:
        self._lease = jobs.claim(tx, next(self._ids), WORKER, 60)

    def _finish(self, tx: Connection) -> None:
        assert self._lease is not None
        jobs.finish(tx, self._lease)

    def _reconcile(self, tx: Connection) -> None:
        jobs.expired(tx)
        jobs.cancel_abandoned(tx)


def compare(short: Turn, long: Turn) -> dict[str, tuple[float, float]]:
    """Milliseconds of each step, in a short and in a long queue: medians of alternate repeats."""
    took: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in short.steps}
    for _ in range(REPEATS):
        for name in short.steps:
            for turn, into in zip((short, long), took[name], strict=True):
                start = time.perf_counter()
                turn.steps[name]()
                into.append(1000 * (time.perf_counter() - start))
    return {name: (statistics.median(a), statistics.median(b)) for name, (a, b) in took.items()}


def measure(console: Console, url: Callable[[str], str], kind: str, count: int) -> None:
    """Both tables for one kind of database."""
    with servers.valkey("--maxmemory", "64mb") as broker:
        few = use(url("few"), broker.url)
        enqueue(footage(FEW + REPEATS))
        short = Turn(few)
        many = use(url("many"), broker.url)
        table = Table("for each job", "Nightshelf", "plain Celery", "ratio", title=kind)
        names = ("enqueue, ms", "broker, bytes")
        for name, (own, other) in zip(names, beside_celery(broker, count), strict=True):
            table.add_row(name, f"{own:.2f}", f"{other:.2f}", f"{own / other:.3f}")
        console.print(table)
        table = Table("ms", f"{FEW} queued", f"{count} queued", "ratio", title=kind)
        for name, (a, b) in compare(short, Turn(many)).items():
            table.add_row(name, f"{a:.2f}", f"{b:.2f}", f"{b / a:.2f}")
        console.print(table)
        queue.app.close()
        few.dispose()
        many.dispose()


def main() -> None:
    """Measure on SQLite, and on PostgreSQL where its programs are installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    count: int = parser.parse_args().jobs
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        os.environ["NIGHTSHELF_HOME"] = name
        measure(console, lambda database: f"sqlite:///{Path(name) / database}.db", "SQLite", count)
        if servers.postgres_bin() is None:
            console.print("no PostgreSQL here (initdb): measured on SQLite alone")
            return
        with servers.postgres() as cluster:

            def url(database: str) -> str:
                cluster.create(database)
                return cluster.url(database)

            measure(console, url, "PostgreSQL", count)


if __name__ == "__main__":
    main()

"""Thirty-two workers on one PostgreSQL: `python -m bench.many_workers [--jobs 2000]`.

Eight processes of four threads each do what a worker does, with the broker's real messages and
all of the protocol: take a message, claim, work for no time, write results, ring for the next.
Celery itself is left out: 32 of its processes on two cores would measure their start.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import statistics
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import redis
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, event, select, text

from db import jobs, queue, results, schema
from db.dialect import engine, reading
from db.jobs import Claimant
from db.settings import settings
from db.specs import TrackSpec
from db.tables import AttemptRow
from producer.enqueue import enqueue
from tests import servers
from tests.recorded import register_model, track, track_result

PROCESSES, THREADS = 8, 4


@dataclass
class Done:
    """What the threads of one process did."""

    statements: int = 0
    rung_at: dict[int, datetime] = field(default_factory=dict)


def use(database_url: str, broker_url: str) -> Engine:
    """Make this process a part of the deployment."""
    os.environ["NIGHTSHELF_DATABASE_URL"] = database_url
    os.environ["NIGHTSHELF_BROKER_URL"] = broker_url
    os.environ["NIGHTSHELF_RING_DEPTH"] = str(2 * PROCESSES * THREADS)
    settings.cache_clear()
    queue.app = queue.make_app(settings())
    return engine(database_url)


def work(database_url: str, broker_url: str, socket: str, process: int, threads: int) -> Done:
    """Run what is rung for until the queue has been empty for a second."""
    database = use(database_url, broker_url)
    done = Done()

    def count(*_: object) -> None:
        done.statements += 1

    event.listen(database, "before_cursor_execute", count)

    def one_worker(thread: int) -> None:
        me = Claimant(f"worker-{process}.{thread}", "here", "cpu")
        client = redis.Redis(unix_socket_path=socket)
        while popped := client.brpop(list(queue.QUEUES), timeout=1):
            run(database, int(json.loads(popped[1])["headers"]["id"]), me, done)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one_worker, range(threads)))
    return done


def run(database: Engine, job_id: int, me: Claimant, done: Done) -> None:
    """One message, as `worker.execution` does it, with work that takes no time."""
    with database.begin() as tx:
        lease = jobs.claim(tx, job_id, me, 60)
    if lease is None:
        return
    with database.begin() as tx:
        jobs.finish(tx, lease)
        results.write(tx, lease.job, track_result([track(1, 0, 0, 9)], ["apple"], 10))
    for job in queue.ring_due(database, settings()):
        if job.rung_at is not None:
            done.rung_at[job.id] = job.rung_at


class LockWatch:
    """How often a session was seen that waits for another's lock."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.waiting: list[int] = []

    def _look(self) -> None:
        query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        while not self._over.wait(0.02):
            with reading(self._database) as tx:
                self.waiting.append(int(tx.scalar(query) or 0))

    def __enter__(self) -> LockWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def night(
    cluster: servers.PostgresCluster,
    broker: servers.Valkey,
    processes: int,
    threads: int,
    count: int,
) -> tuple[str, ...]:
    """Enqueue so many jobs and have so many workers run them; gives a row of the table."""
    name = f"workers_{processes * threads}"
    cluster.create(name)
    database = use(cluster.url(name), broker.url)
    schema.upgrade(database)
    model = register_model(database, "m", ["apple"])
    enqueue(
        TrackSpec(
            video=f"/footage/{number}.mp4",
            video_sha256=hashlib.sha256(str(number).encode()).hexdigest(),
            model="m",
            model_sha256=model,
        )
        for number in range(count)
    )
    place = (cluster.url(name), broker.url, str(broker.socket))
    context = multiprocessing.get_context("spawn")
    with LockWatch(database) as locks, context.Pool(processes) as pool:
        told = pool.starmap(work, [(*place, number, threads) for number in range(processes)])
    with reading(database) as tx:
        rows = tx.execute(
            select(
                AttemptRow.job_id, AttemptRow.worker, AttemptRow.started_at, AttemptRow.ended_at
            ).where(AttemptRow.worker.like("worker-%"))
        ).all()
        deadlocks = tx.scalar(
            text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        )
    assert sorted(row.job_id for row in rows) == list(range(2, count + 2)), "each job once"
    began, ended = min(row.started_at for row in rows), max(row.ended_at for row in rows)
    shares = [sum(row.worker == one for row in rows) for one in {row.worker for row in rows}]
    rung = {job_id: moment for done in told for job_id, moment in done.rung_at.items()}
    waits = [
        (row.started_at - rung[row.job_id]).total_seconds() for row in rows if row.job_id in rung
    ]
    database.dispose()
    return (
        str(processes * threads),
        f"{count / (ended - began).total_seconds():.0f}",
        f"{sum(done.statements for done in told) / count:.1f}",
        str(deadlocks),
        f"{statistics.mean(map(bool, locks.waiting)):.0%}",
        f"{min(shares)} / {statistics.median(shares):.0f} / {max(shares)}",
        f"{statistics.median(waits):.2f} / {max(waits):.2f}",
    )


def main() -> None:
    """Let one worker, and then 32, run the same jobs, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    count: int = parser.parse_args().jobs
    table = Table(
        *("workers", "jobs/s", "SQL a job", "deadlocks", "lock waits", "jobs a worker", "wait, s"),
        caption="lock waits: samples in which a session waited for another's lock; "
        "jobs a worker: least / median / most; wait: from bell to claim, median / longest",
    )
    with (
        tempfile.TemporaryDirectory() as home,
        servers.postgres() as cluster,
        servers.valkey("--maxmemory", "64mb") as broker,
    ):
        os.environ["NIGHTSHELF_HOME"] = home
        table.add_row(*night(cluster, broker, 1, 1, count))
        table.add_row(*night(cluster, broker, PROCESSES, THREADS, count))
    Console().print(table)


if __name__ == "__main__":
    main()

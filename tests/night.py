"""A night on real processes: workers and reconcilers, to which a schedule of faults happens."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import psutil
from sqlalchemy import text

from db.dialect import reading
from tests.deployment import Deployment
from tests.injected import enqueue, send, work
from tests.schedule import ATTEMPTS, Entry
from tests.servers import PostgresCluster, Valkey

_SERVICES = ("worker", "worker", "worker", "reconcile", "reconcile")


class Night:
    """A deployment with three workers and two reconcilers, to which a schedule happens.

    Attributes:
        expected: how each job that the command line accepted ends, by its id.
        cancelled: the jobs that the command line was asked to cancel.
        story: what was done, a line each.
    """

    def __init__(
        self, deployed: Deployment, broker: Valkey, cluster: PostgresCluster | None
    ) -> None:
        self.deployed = deployed
        self.expected: dict[int, str] = {}
        self.cancelled: set[int] = set()
        self.story: list[str] = []
        self._broker, self._cluster = broker, cluster
        self._services: dict[int, psutil.Popen] = {}
        self._mending: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._began = time.monotonic()
        self._away: set[str] = set()
        for slot in range(len(_SERVICES)):
            self._start(slot)

    def live_through(self, entries: Iterable[Entry]) -> None:
        """Do everything when it is due; at the end nothing is left broken."""
        for entry in entries:
            self._keep_up()  # however late it is
            while self._now() < entry.at_s:
                self._keep_up()
            self._carry_out(entry)
        while self._mending:
            self._keep_up()

    def until_over(self, timeout_s: float) -> None:
        """Wait until every job that was recorded is over."""
        self.deployed.until(self._over, timeout_s)

    def _over(self) -> bool:
        self._keep_up()
        query = "SELECT COUNT(*) FROM jobs WHERE state IN ('waiting', 'queued', 'running')"
        with reading(self.deployed.database) as tx:
            return not tx.scalar(text(query))

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _keep_up(self) -> None:
        """Mend what is to be mended, and start again what has ended, as a service manager would."""
        while self._mending and self._mending[0][0] <= self._now():
            heapq.heappop(self._mending)[2]()
        for slot, service in list(self._services.items()):
            if service.poll() is not None:
                del self._services[slot]
                self._later(1.0, partial(self._start, slot))
        time.sleep(0.05)

    def _start(self, slot: int) -> None:
        self._services[slot] = self.deployed.start(_SERVICES[slot])

    def _later(self, after_s: float, act: Callable[[], object]) -> None:
        heapq.heappush(self._mending, (self._now() + after_s, next(self._order), act))

    def _carry_out(self, entry: Entry) -> None:
        act: Callable[[Entry], str] = getattr(self, f"_{entry.what.replace(' ', '_')}")
        at_s = self._now()
        self.story.append(f"{at_s:7.2f} s  {entry.what}: {act(entry)}")

    def _enqueue(self, entry: Entry) -> str:
        files = [work(self.deployed.home, name, **wanted) for name, wanted in entry.works]
        self.deployed.environment["NIGHTSHELF_MAX_ATTEMPTS"] = ATTEMPTS[entry.ends]
        try:
            ids = enqueue(self.deployed, *files, priority=entry.priority)
        except AssertionError as refused:
            # The database is away: nothing was promised. It is asked for again later.
            self._later(2.0, partial(self._carry_out, entry))
            return f"refused: {_last_line(refused)}"
        self.expected |= dict.fromkeys(ids, entry.ends)
        return f"{dict(zip(ids, (wanted for _, wanted in entry.works), strict=True))}"

    def _kill_a_runner(self, entry: Entry) -> str:
        return _kill(entry, self.deployed.processes("worker.runner"))

    def _kill_a_worker(self, entry: Entry) -> str:
        return _kill(entry, self._workers())

    def _kill_a_supervisor(self, entry: Entry) -> str:
        return _kill(entry, self.deployed.supervisors())

    def _kill_a_reconciler(self, entry: Entry) -> str:
        return _kill(entry, self.deployed.processes("-m producer reconcile"))

    def _stop_a_supervisor(self, entry: Entry) -> str:
        stopped = _send(signal.SIGTERM, entry, self.deployed.supervisors())
        if stopped is None:
            return "there is none"
        for slot, service in list(self._services.items()):
            if service.pid == stopped.pid:
                self._start(slot)  # its successor does not wait for its end
        return f"process {stopped.pid}"

    def _workers(self) -> list[psutil.Process]:
        return self.deployed.processes("celery --app worker.tasks")

    def _let_a_worker_sleep(self, entry: Entry) -> str:
        sleeper = _send(signal.SIGSTOP, entry, self._workers())
        if sleeper is None:
            return "there is none"

        def wake() -> None:
            with contextlib.suppress(psutil.NoSuchProcess):  # killed in its sleep
                sleeper.send_signal(signal.SIGCONT)

        lasts_s = float(self.deployed.environment["NIGHTSHELF_LEASE_S"]) + entry.lasts_s
        # Not by `_keep_up`, which may be waiting for a lock that the sleeper holds.
        alarm = threading.Timer(lasts_s, wake)
        alarm.start()
        self._later(lasts_s, alarm.join)
        return f"process {sleeper.pid} for {lasts_s:.1f} s"

    def _kill_the_broker(self, entry: Entry) -> str:
        if "broker" in self._away:
            return "it is away"
        self._broker.kill()
        self._back_later("broker", entry.lasts_s, self._broker.start)
        return f"for {entry.lasts_s:.1f} s"

    def _empty_the_broker(self, entry: Entry) -> str:
        if "broker" in self._away:
            return "it is away"
        with self._broker.client() as client:
            client.flushall()
        return "done"

    def _repeat_messages(self, entry: Entry) -> str:
        if self._away or not self.expected:
            return "not now"
        job = self.deployed.job(self._choose(entry))
        send(self._broker, job, 5)
        return f"5 for job {job.id}, which is {job.state}"

    def _choose(self, entry: Entry) -> int:
        """One of the jobs that are not over, or else of all that were accepted."""
        live = set(self.expected)
        if "database" not in self._away:
            query = "SELECT id FROM jobs WHERE state IN ('waiting', 'queued', 'running')"
            with reading(self.deployed.database) as tx:
                live &= set(tx.scalars(text(query)))
        chosen = sorted(live or self.expected)
        return chosen[int(entry.pick * len(chosen))]

    def _cancel_a_job(self, entry: Entry) -> str:
        if not self.expected:
            return "there is none"
        job_id = self._choose(entry)
        # Even where the answer gets lost the job may be cancelled.
        self.cancelled.add(job_id)
        try:
            return self.deployed.cli("jobs", "cancel", str(job_id)).strip()
        except AssertionError as refused:
            return f"job {job_id}: {_last_line(refused)}"

    def _take_the_database_away(self, entry: Entry) -> str:
        if "database" in self._away:
            return "it is away"
        if self._cluster is None:
            holder = threading.Thread(target=self._hold_the_lock, args=(entry.lasts_s,))
            holder.start()
            self._back_later("database", entry.lasts_s, holder.join)
            return f"locked for {entry.lasts_s:.1f} s"
        at_once = entry.pick < 0.5
        self.deployed.database.dispose()
        self._cluster.stop(immediately=at_once)
        self._back_later("database", entry.lasts_s, self._cluster.start)
        return f"stopped {'at once ' if at_once else ''}for {entry.lasts_s:.1f} s"

    def _hold_the_lock(self, lasts_s: float) -> None:
        """Do as a writer does that takes long: SQLite has one lock."""
        with self.deployed.database.begin():
            time.sleep(lasts_s)

    def _back_later(self, server: str, after_s: float, come_back: Callable[[], object]) -> None:
        def back() -> None:
            come_back()
            self._away.remove(server)

        self._away.add(server)
        self._later(after_s, back)

    def _cut_every_connection(self, entry: Entry) -> str:
        if self._cluster is None or "database" in self._away:
            return "there is none"
        query = (
            "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with reading(self.deployed.database) as tx:
            return f"{tx.scalar(text(query))} of them"


def _send(
    number: signal.Signals, entry: Entry, processes: Sequence[psutil.Process]
) -> psutil.Process | None:
    """Send a signal to one of these processes; returns it, or None if there are none."""
    if not processes:
        return None
    chosen = processes[int(entry.pick * len(processes))]
    with contextlib.suppress(psutil.NoSuchProcess):
        chosen.send_signal(number)
    return chosen


def _kill(entry: Entry, processes: Sequence[psutil.Process]) -> str:
    killed = _send(signal.SIGKILL, entry, processes)
    return f"process {killed.pid}" if killed else "there is none"


def _last_line(refused: AssertionError) -> str:
    return str(refused).strip().splitlines()[-1]

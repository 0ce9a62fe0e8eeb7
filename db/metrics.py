"""What Prometheus is told of the jobs, read from SQL at each scrape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, Engine, and_, case, func, select
from sqlalchemy.exc import DBAPIError

from db import backlog
from db.dialect import now, reading
from db.states import Outcome, State
from db.tables import AttemptRow, JobRow, TrackingRow, VideoRow


def registry(engine: Engine) -> CollectorRegistry:
    """A registry that reads the database anew whenever it is collected."""
    made = CollectorRegistry()
    made.register(_Jobs(engine))
    return made


class _Jobs(Collector):
    """Six statements a scrape, however many jobs there are.

    The totals are sums over the rows there are: like any counter that starts anew they fall if
    somebody deletes rows.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> Iterable[Metric]:
        """Nothing: to find the names by collecting would ask the database before it must answer."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment; only that it is away if the database does not answer."""
        found: list[Metric] = []
        try:
            with reading(self._engine) as tx:
                found = [*_jobs(tx), _oldest(tx), _attempts(tx), *_work(tx), _speed(tx)]
        except DBAPIError:
            pass  # the gauge says it
        yield GaugeMetricFamily(
            "nightshelf_database_up", "Whether the database answered.", value=float(bool(found))
        )
        yield from found


def _jobs(tx: Connection) -> Iterator[Metric]:
    late = func.coalesce(func.sum(case((JobRow.lease_expires_at < now(), 1), else_=0)), 0)
    rows = tx.execute(
        select(JobRow.kind, JobRow.state, func.count().label("jobs"), late.label("late")).group_by(
            JobRow.kind, JobRow.state
        )
    ).all()
    family = GaugeMetricFamily(
        "nightshelf_jobs", "Jobs by kind and state.", labels=("kind", "state")
    )
    counts = {(row.kind, row.state): row.jobs for row in rows}
    for kind in sorted({kind for kind, _ in counts}):
        for state in State:
            family.add_metric((kind, state), counts.get((kind, state), 0))
    yield family
    leases = GaugeMetricFamily(
        "nightshelf_leases",
        "Running jobs by whether their lease holds; an expired one waits for a reconciler.",
        labels=("state",),
    )
    running = [row for row in rows if row.state == State.RUNNING]
    expired = sum(row.late for row in running)
    leases.add_metric(("live",), sum(row.jobs for row in running) - expired)
    leases.add_metric(("expired",), expired)
    yield leases


def _oldest(tx: Connection) -> Metric:
    oldest = backlog.longest_waiting(tx)
    return GaugeMetricFamily(
        "nightshelf_oldest_due_job_age_seconds",
        "How long the queued job has waited that has been due for the longest time; 0 if none is.",
        value=oldest.age_s if oldest else 0.0,
    )


def _attempts(tx: Connection) -> Metric:
    family = CounterMetricFamily(
        "nightshelf_attempts", "Attempts that have ended, by outcome.", labels=("outcome",)
    )
    query = select(AttemptRow.outcome, func.count()).group_by(AttemptRow.outcome)
    counts = {outcome: count for outcome, count in tx.execute(query) if outcome is not None}
    for outcome in Outcome:
        family.add_metric((outcome,), counts.get(outcome, 0))
    return family


def _work(tx: Connection) -> Iterator[Metric]:
    processed, inferred, footage_s = tx.execute(
        select(
            func.coalesce(func.sum(TrackingRow.frames_processed), 0),
            func.coalesce(func.sum(TrackingRow.frames_inferred), 0),
            func.coalesce(func.sum(VideoRow.duration_s), 0.0),
        ).join(VideoRow, VideoRow.id == TrackingRow.video_id)
    ).one()
    yield CounterMetricFamily(
        "nightshelf_frames_processed", "Frames that finished jobs tracked in.", value=processed
    )
    yield CounterMetricFamily(
        "nightshelf_frames_inferred", "Frames of them that a model looked at.", value=inferred
    )
    yield CounterMetricFamily(
        "nightshelf_footage_seconds", "Seconds of video that finished jobs saw.", value=footage_s
    )


def _speed(tx: Connection) -> Metric:
    family = GaugeMetricFamily(
        "nightshelf_running_frames_per_second",
        "Frames of the running jobs' present stage over the time since their attempt began.",
        labels=("host", "device"),
    )
    rows = tx.execute(
        select(
            AttemptRow.host,
            AttemptRow.device,
            JobRow.progress_done,
            JobRow.started_at,
            JobRow.progress_at,
        )
        .join(
            AttemptRow,
            and_(AttemptRow.job_id == JobRow.id, AttemptRow.attempt == JobRow.attempt),
        )
        .where(JobRow.state == State.RUNNING, JobRow.progress_unit == "frames")
    )
    speeds: dict[tuple[str, str], float] = {}
    for host, device, done, began, moment in rows:
        elapsed_s = (moment - began).total_seconds() if moment and began else 0.0
        speed = done / elapsed_s if elapsed_s > 0 else 0.0
        speeds[host, device] = speeds.get((host, device), 0.0) + speed
    for (host, device), per_s in sorted(speeds.items()):
        family.add_metric((host, device), per_s)
    return family

"""Follow jobs from SQL alone: what changed, and how fast they go."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from db import job_records
from db.dialect import reading
from db.errors import UsageError
from db.job_records import Job, Pulse
from db.states import State
from producer.enqueue import database

_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Sight:
    """A job at one moment, with its speed.

    Attributes:
        per_s: units of progress (frames, for a `track` job) per second; None if unknown yet.
        left_s: seconds to the end at that speed; None if unknown yet.
    """

    job: Job
    per_s: float | None = None
    left_s: float | None = None


@dataclass
class _Speedometer:
    """Speed between the first and the last progress that was seen of a stage of an attempt.

    A training tells in its note how it goes, and how much time is left by what whole epochs took:
    its stages are all one, and nothing is added to that.
    """

    _first: dict[tuple[int, int, str | None], tuple[float, float]] = field(default_factory=dict)

    def look(self, job: Job) -> Sight:
        if job.state is not State.RUNNING or job.progress_at is None or not job.progress_done:
            return Sight(job)
        moment = job.progress_at.timestamp()
        trains = job.kind == "train"
        stage = None if trains else job.progress_note
        done, since = self._first.setdefault(
            (job.id, job.attempt, stage), (job.progress_done, moment)
        )
        if moment <= since or job.progress_done <= done:
            return Sight(job)
        per_s = (job.progress_done - done) / (moment - since)
        if job.progress_total is None or trains:
            return Sight(job, per_s)
        return Sight(job, per_s, (job.progress_total - job.progress_done) / per_s)


@dataclass
class _Board:
    """The jobs that are watched: of thousands, only those are read that have something new."""

    _jobs: dict[int, Job] = field(default_factory=dict)
    _pulses: dict[int, Pulse] = field(default_factory=dict)

    def look(self, tx: Connection, ids: Sequence[int]) -> list[Job]:
        pulses = job_records.pulses(tx, ids)
        if missing := set(ids) - set(pulses):
            raise UsageError(
                f"there is no job {min(missing)}: `nightshelf jobs list` shows those that exist"
            )
        # A parent's progress is that of its children, which its own pulse does not tell.
        news = [
            job_id
            for job_id, pulse in pulses.items()
            if pulse != self._pulses.get(job_id) or pulse.state == State.WAITING
        ]
        if news:
            self._jobs |= {job.id: job for job in job_records.listing(tx, ids=news)}
        self._pulses = pulses
        return [self._jobs[job_id] for job_id in ids]


def watch(job_ids: Sequence[int] = (), *, every_s: float = _LOOK_EVERY_S) -> Iterator[list[Sight]]:
    """The jobs with these ids, or all live ones, again and again until they are over.

    Raises:
        UsageError: one of the ids is no job's.
    """
    found = database()
    speed = _Speedometer()
    ids = sorted(set(job_ids))
    board = _Board()
    while True:
        with reading(found) as tx:
            ids = ids or job_records.live_ids(tx)
            seen = board.look(tx, ids)
        yield [speed.look(job) for job in seen]
        if all(job.over for job in seen):
            return
        time.sleep(every_s)


def wait(job_ids: Sequence[int], *, timeout_s: float | None = None) -> list[Job]:
    """Wait until the jobs are over; returns them in the order of their ids.

    Raises:
        TimeoutError: they were not over in time. The jobs go on.
        UsageError: one of the ids is no job's.
    """
    if not job_ids:
        return []
    until = None if timeout_s is None else time.monotonic() + timeout_s
    for sights in watch(job_ids):
        if all(sight.job.over for sight in sights):
            return [sight.job for sight in sights]
        if until is not None and time.monotonic() > until:
            waiting = [sight.job.id for sight in sights if not sight.job.over]
            raise TimeoutError(f"not over after {timeout_s:g} s: jobs {waiting}; they go on")
    raise AssertionError("watch ends when every job is over")

"""Record a job, then ring."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from db import job_creation, schema
from db.dialect import engine
from db.errors import Unreachable, UsageError
from db.job_records import Job
from db.settings import Settings, settings
from db.specs import Priority, Spec

M = TypeVar("M", bound=BaseModel)

# Jobs are recorded when there are so many, or after so long: to read a night's footage for its
# content takes longer than to record it, and workers begin meanwhile.
_BATCH_JOBS = 250
_BATCH_S = 1.0


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What came of asking for a job.

    Attributes:
        job: the job that does it, new or not.
        new: False if a job that does the same was there already.
        broker_away: why no message could be sent, if so; the job starts when the broker is back.
    """

    job: Job
    new: bool
    broker_away: str | None = None


def database() -> Engine:
    """The database of this process's settings, its schema checked.

    Raises:
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    found = engine(settings().database)
    schema.check(found)
    return found


def validated(kind: type[M], **values: Any) -> M:
    """The spec, or part of one, with these values.

    Raises:
        UsageError: one line for the first value that cannot be.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        raise UsageError(_one_line(error)) from None


def _one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    message = ": ".join([*map(str, first["loc"]), first["msg"].removeprefix("Value error, ")])
    # Our own messages say which value they mean; the input of a whole model is all of its values.
    return message if first["type"] == "value_error" else f"{message} (it is {first['input']!r})"


def enqueue(
    specs: Iterable[Spec], *, priority: Priority = Priority.NORMAL, force: bool = False
) -> list[Enqueued]:
    """Record the jobs, in batches as their specs come, and ring for those that are due.

    A broker that is away loses nothing: the jobs are recorded, and start when it is back. Nor
    does an end in between, by Ctrl-C or an error: what was recorded stays, a note on the error
    says how much that is, and to ask again records the rest.

    Raises:
        SchemaBehind, Unreachable: the database is not fit to work on; nothing is recorded.
    """
    config, found = settings(), database()
    made: list[tuple[Job, bool]] = []
    away = None
    try:
        for batch in _batches(specs):
            made += _record(found, batch, config, priority, force)
            if away is None:
                away = _ring(found, config)
    except BaseException as error:
        if made:
            error.add_note(
                f"{len(made)} jobs were recorded before that, and stay: "
                "the same command again records the rest."
            )
        raise
    return [Enqueued(job, new, away) for job, new in made]


def enqueue_family(
    spec: Spec,
    children: Sequence[Spec],
    *,
    priority: Priority = Priority.NORMAL,
    force: bool = False,
) -> Enqueued:
    """Record a job that waits for smaller ones, and these, and ring for those that are due.

    Raises:
        SchemaBehind, Unreachable: the database is not fit to work on; nothing is recorded.
    """
    config, found = settings(), database()
    with found.begin() as tx:
        job, new = job_creation.create(
            tx,
            spec,
            max_attempts=config.max_attempts,
            priority=priority,
            force=force,
            children=children,
        )
    return Enqueued(job, new, _ring(found, config))


def _batches(specs: Iterable[Spec]) -> Iterator[list[Spec]]:
    batch: list[Spec] = []
    began = time.monotonic()
    for spec in specs:
        batch.append(spec)
        if len(batch) == _BATCH_JOBS or time.monotonic() - began > _BATCH_S:
            yield batch
            batch, began = [], time.monotonic()
    if batch:
        yield batch


def _record(
    found: Engine, specs: Sequence[Spec], config: Settings, priority: Priority, force: bool
) -> list[tuple[Job, bool]]:
    attempts = config.max_attempts
    try:
        with found.begin() as tx:
            return job_creation.create_all(
                tx, specs, max_attempts=attempts, priority=priority, force=force
            )
    except OperationalError:
        # Two that record the same jobs in different orders wait for each other until PostgreSQL
        # ends one of them. With a transaction for each job they cannot.
        return [_record_one(found, spec, attempts, priority, force) for spec in specs]


def _record_one(
    found: Engine, spec: Spec, attempts: int, priority: Priority, force: bool
) -> tuple[Job, bool]:
    with found.begin() as tx:
        return job_creation.create(tx, spec, max_attempts=attempts, priority=priority, force=force)


def _ring(found: Engine, config: Settings) -> str | None:
    from db import queue  # Celery takes half a second to load, and most commands only look

    try:
        queue.ring_due(found, config)
    except Unreachable as error:
        return str(error)
    return None

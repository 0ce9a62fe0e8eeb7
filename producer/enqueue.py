"""Record a job, then ring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy import Engine

from db import jobs, schema
from db.dialect import engine
from db.errors import Unreachable, UsageError
from db.job_records import Job
from db.settings import Settings, settings
from db.specs import Priority, Spec

M = TypeVar("M", bound=BaseModel)


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
    specs: Sequence[Spec], *, priority: Priority = Priority.NORMAL, force: bool = False
) -> list[Enqueued]:
    """Record the jobs, all or none, and then ring for those that are due.

    A broker that is away loses nothing: the jobs are recorded, and start when it is back.

    Raises:
        SchemaBehind, Unreachable: the database is not fit to work on; nothing is recorded.
    """
    config, found = settings(), database()
    with found.begin() as tx:
        made = [
            jobs.create(tx, spec, max_attempts=config.max_attempts, priority=priority, force=force)
            for spec in specs
        ]
    away = _ring(found, config)
    return [Enqueued(job, new, away) for job, new in made]


def _ring(found: Engine, config: Settings) -> str | None:
    from db import queue  # Celery takes half a second to load, and most commands only look

    try:
        queue.ring_due(found, config)
    except Unreachable as error:
        return str(error)
    return None

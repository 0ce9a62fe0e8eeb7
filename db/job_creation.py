"""How jobs come to be: recorded once for what they ask for, whoever asks again.

Messages are sent (`db.queue`) only after the caller's commit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from db.dialect import now
from db.job_records import Job, job_columns
from db.specs import Priority, Spec
from db.states import State
from db.tables import ANSWERS_FOR_ITS_FINGERPRINT, JobRow


def fingerprint(spec: Spec) -> str:
    """The sha256 of what a spec asks for: its content, not the addresses it is found under."""
    content = spec.model_dump(mode="json", exclude=set(spec.addresses))
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def create(
    tx: Connection,
    spec: Spec,
    *,
    max_attempts: int,
    priority: Priority = Priority.NORMAL,
    force: bool = False,
    children: Sequence[Spec] = (),
) -> tuple[Job, bool]:
    """Record a job, unless one with its fingerprint is live or has succeeded.

    A job with children waits for them; `force` makes another job in any case.

    Returns:
        the job, and whether it is new.
    """
    mark = fingerprint(spec)
    same = _same([mark])
    if force:
        tx.execute(update(JobRow).where(same).values(superseded=True))
    while True:
        try:
            with tx.begin_nested():
                job = _insert(tx, spec, mark, priority, max_attempts, len(children))
            break
        except IntegrityError:
            # The unique index spoke: somebody has recorded the same. If that one is cancelled
            # between the two statements, the next insert succeeds.
            if row := tx.execute(select(*job_columns).where(same)).mappings().first():
                return Job.of(row), False
    for child in children:
        create_child(tx, child, job, str(job.id))
    return job, True


def create_child(tx: Connection, spec: Spec, parent: Job, mark: str) -> Job:
    """Record a job that its parent waits for.

    Args:
        tx: the transaction.
        spec: of the child.
        parent: its priority and its number of attempts are the child's.
        mark: tells it from the same work for another parent, or again: that is another job.
    """
    fingerprinted = f"{fingerprint(spec)}/{mark}"
    return _insert(tx, spec, fingerprinted, parent.priority, parent.max_attempts, 0, parent.id)


def create_all(
    tx: Connection,
    specs: Sequence[Spec],
    *,
    max_attempts: int,
    priority: Priority = Priority.NORMAL,
    force: bool = False,
) -> list[tuple[Job, bool]]:
    """The same for many jobs, in the order of their ids, in as many statements as for few.

    (Where another does the same at the same moment, or `force` is set, it is done job by job.)

    Returns:
        for each spec the job, and whether it is new.
    """
    one_by_one = partial(create, tx, max_attempts=max_attempts, priority=priority, force=force)
    if force:
        return [one_by_one(spec) for spec in specs]
    marks = [fingerprint(spec) for spec in specs]
    there = tx.execute(select(*job_columns).where(_same(marks))).mappings()
    jobs = {job.fingerprint: job for job in map(Job.of, there)}
    missing = {mark: spec for mark, spec in zip(marks, specs, strict=True) if mark not in jobs}
    if missing:
        rows = [_values(spec, mark, priority, max_attempts) for mark, spec in missing.items()]
        try:
            with tx.begin_nested():
                made = tx.execute(
                    insert(JobRow).values(created_at=now()).returning(*job_columns), rows
                ).mappings()
                jobs |= {job.fingerprint: job for job in map(Job.of, made)}
        except IntegrityError:
            return [one_by_one(spec) for spec in specs]
    # Of two specs that ask for the same, the first has the new job.
    return [(jobs[mark], missing.pop(mark, None) is not None) for mark in marks]


def _same(marks: Sequence[str]) -> ColumnElement[bool]:
    """Which jobs stand in the way of new ones with these fingerprints."""
    return and_(JobRow.fingerprint.in_(marks), text(ANSWERS_FOR_ITS_FINGERPRINT))


def _values(spec: Spec, mark: str, priority: Priority, max_attempts: int) -> dict[str, Any]:
    """What is written of a new job that waits for nothing but a worker."""
    return {
        "kind": spec.kind,
        "label": spec.label,
        "spec": spec.model_dump(mode="json"),
        "fingerprint": mark,
        "queue": f"nightshelf.{spec.queue_class}.{priority.name.lower()}",
        "priority": priority,
        "max_attempts": max_attempts,
        "state": State.QUEUED,
    }


def _insert(
    tx: Connection,
    spec: Spec,
    mark: str,
    priority: Priority,
    max_attempts: int,
    children_left: int,
    parent_id: int | None = None,
) -> Job:
    row = tx.execute(
        insert(JobRow)
        .values(
            _values(spec, mark, priority, max_attempts)
            | {
                "parent_id": parent_id,
                "children_left": children_left,
                "state": State.WAITING if children_left else State.QUEUED,
                "created_at": now(),
            }
        )
        .returning(*job_columns)
    ).mappings()
    return Job.of(row.one())

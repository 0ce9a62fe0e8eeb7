"""The states of a job, the outcomes of its attempts, and the stages of a model."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a job is in its life; docs/jobs.md draws the transitions."""

    WAITING = "waiting"
    """For its children to end."""
    QUEUED = "queued"
    """For a worker."""
    RUNNING = "running"
    """A worker holds its lease."""
    SUCCEEDED = "succeeded"
    """Its results are in the database."""
    FAILED = "failed"
    """It will not be tried again, unless somebody asks; `error` says why."""
    CANCELLED = "cancelled"
    """Somebody asked."""


class Outcome(StrEnum):
    """How one attempt at a job ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """It raised, or its runner died, stalled or outran its deadline."""
    LOST = "lost"
    """Its lease ran out: the worker died or could not reach the database."""
    HANDED_BACK = "handed back"
    """Its worker was told to stop; costs the job no attempt."""
    SPLIT = "split"
    """The job became the parent of smaller ones, and waits for them; costs it no attempt."""
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """Where a version of a model stands; at most one of a name is in production."""

    CANDIDATE = "candidate"
    """Registered, and not in use by its name yet."""
    PRODUCTION = "production"
    """What its name stands for."""
    RETIRED = "retired"
    """No longer in use; it can be promoted again."""


OVER = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
"""Nothing more happens to a job in these, unless somebody asks."""

LIVE = (State.WAITING, State.QUEUED, State.RUNNING)

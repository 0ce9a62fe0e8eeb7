"""Seeded schedules of jobs and faults: what happens when in a bad night (`tests.night` does it)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# Those that come more often are there twice.
_FAULTS = (
    *("kill a runner", "kill a worker", "cancel a job", "repeat messages") * 2,
    *("kill a supervisor", "stop a supervisor", "let a worker sleep"),
    *("kill the broker", "empty the broker"),
    *("take the database away", "cut every connection"),
    "kill a reconciler",
)

# What jobs do, and how often. Of those that can never succeed there are few: each takes a worker
# for all of its attempts.
_SOUND: tuple[tuple[dict[str, Any], int], ...] = (
    ({}, 60),
    ({"segments": 3}, 12),
    ({"then": "abort", "attempts": [1]}, 6),
    ({"then": "raise", "attempts": [1, 2]}, 6),
    ({"then": "hang", "attempts": [1]}, 2),
    ({"then": "deaf"}, 4),
)
_BROKEN: tuple[tuple[dict[str, Any], int], ...] = (
    ({"then": "refuse"}, 4),
    ({"then": "raise"}, 3),
    ({"then": "abort"}, 2),
    ({"then": "hang"}, 1),
)
Work = tuple[str, dict[str, Any]]
"""A name, and what `tests.injected.work` is told of it."""

SUCCEEDS, FAILS = "succeeds", "fails"

# So many that faults alone do not use them up, and so few that what is broken soon ends.
ATTEMPTS = {SUCCEEDS: "50", FAILS: "2"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to be done.

    Attributes:
        at_s: when, in seconds from the start.
        what: one of the faults, or `enqueue`.
        pick: which of those that there are then, from 0 to 1.
        lasts_s: how long what can be mended is left broken, in seconds.
        works: what to enqueue; all of it has the same `ends`.
        ends: `succeeds` or `fails`.
        priority: of the jobs.
    """

    at_s: float
    what: str
    pick: float = 0.0
    lasts_s: float = 0.0
    works: tuple[Work, ...] = ()
    ends: str = SUCCEEDS
    priority: str = "normal"


def draw(seed: int, jobs: int, length_s: float, faults: int, longest_s: float) -> list[Entry]:
    """A schedule: the same for the same arguments.

    Args:
        seed: of everything that is drawn.
        jobs: how many jobs are enqueued.
        length_s: when the last of them is, and the last fault comes, in seconds.
        faults: how many faults.
        longest_s: how long a job works at most, in seconds; one in ten takes four times as long.
    """
    chance = random.Random(seed)
    drawn = [_draw_job(chance, number, longest_s) for number in range(jobs)]
    entries = [
        Entry(
            at_s=chance.uniform(0, length_s),
            what="enqueue",
            works=batch,
            ends=ends,
            priority=chance.choice(("low", "normal", "normal", "high")),
        )
        for ends in (SUCCEEDS, FAILS)
        for batch in _batches(chance, [one for its_end, one in drawn if its_end == ends])
    ]
    entries += [
        Entry(
            at_s=chance.uniform(0, length_s),
            what=chance.choice(_FAULTS),
            pick=chance.random(),
            lasts_s=chance.uniform(0.2, 5),
        )
        for _ in range(faults)
    ]
    return sorted(entries, key=lambda entry: entry.at_s)


def _draw_job(chance: random.Random, number: int, longest_s: float) -> tuple[str, Work]:
    kinds = [(SUCCEEDS, *one) for one in _SOUND] + [(FAILS, *one) for one in _BROKEN]
    [(ends, wanted, _)] = chance.choices(kinds, [weight for *_, weight in kinds])
    # A few are longer than a lease: theirs may be taken, and given to another, while they run.
    times = 4 if chance.random() < 0.1 else 1
    seconds = round(times * chance.uniform(0, longest_s), 2)
    return ends, (f"job-{number}", {**wanted, "seconds": seconds})


def _batches(chance: random.Random, works: Sequence[Work]) -> Iterator[tuple[Work, ...]]:
    left = iter(works)
    while batch := tuple(itertools.islice(left, chance.randint(4, 10))):
        yield batch

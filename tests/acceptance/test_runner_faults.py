"""Runners that abort, hang, grow or do not listen are replaced, and leave nothing."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from db.states import State
from tests.deployment import Deployment
from tests.injected import work

pytestmark = pytest.mark.slow

# What each says of its end, in every attempt.
_FAULTS = {
    "abort": "the runner was killed by SIGABRT",
    "killed": "the runner was killed by SIGKILL (by the system if it was out of memory)",
    "hang": "the job made no progress for 4 s",
    "grow": "more than the limit of 512 MiB (NIGHTSHELF_RUNNER_MEMORY_MB)",
}


def attempts(made: Deployment, job: int) -> list[dict[str, Any]]:
    return list(made.cli_json("jobs", "show", str(job))["attempts"])


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_each_fault_of_a_runner_fails_its_job_with_the_reason_and_the_next_job_runs(
    simulated: Deployment,
) -> None:
    simulated.environment |= {
        "NIGHTSHELF_STALL_TIMEOUT_S": "4",
        "NIGHTSHELF_RUNNER_MEMORY_MB": "512",
        "NIGHTSHELF_MAX_ATTEMPTS": "2",
    }
    home = simulated.home
    broken = {then: simulated.enqueue(work(home, then, then=then, child=True)) for then in _FAULTS}
    sound = simulated.enqueue(work(home, "sound"))
    simulated.start("worker")
    simulated.start("reconcile")
    simulated.until_over(*broken.values(), sound)
    for then, job in broken.items():
        assert simulated.job(job).state is State.FAILED
        assert simulated.outcomes(job) == ["failed", "failed"]
        assert [_FAULTS[then] in one["error"] for one in attempts(simulated, job)] == [True, True]
    assert simulated.job(sound).state is State.SUCCEEDED
    assert simulated.outcomes(sound) == ["succeeded"]
    assert simulated.processes("sleep 3600") == [], "what a broken job has started is gone"
    assert left_in(home / "jobs") == [str(sound)], "and what it has written"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_runner_that_does_not_listen_is_killed_when_its_job_is_cancelled(
    simulated: Deployment,
) -> None:
    simulated.environment["NIGHTSHELF_STOP_GRACE_S"] = "1"
    simulated.start("worker")
    simulated.start("reconcile")
    deaf = simulated.enqueue(work(simulated.home, "deaf", then="deaf", seconds=600, child=True))
    simulated.until_under_way(deaf, 1)
    first = simulated.runner()
    simulated.cli("jobs", "cancel", str(deaf))
    following = simulated.enqueue(work(simulated.home, "following"))
    simulated.until_over(deaf, following)
    assert simulated.job(deaf).state is State.CANCELLED
    assert simulated.outcomes(deaf) == ["cancelled"]
    assert simulated.outcomes(following) == ["succeeded"]
    assert simulated.runner() != first
    assert simulated.processes("sleep 3600") == []
    assert left_in(simulated.home / "jobs") == [str(following)]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("victim", ["runner", "worker", "supervisor"])
def test_what_a_job_has_started_dies_with_whatever_is_killed(
    simulated: Deployment, victim: str
) -> None:
    simulated.start("worker")
    simulated.start("reconcile")
    job = simulated.enqueue(work(simulated.home, "parent", seconds=600, child=True))
    simulated.until_under_way(job, 1)
    [child] = simulated.processes("sleep 3600")
    [killed] = {
        "runner": lambda: [simulated.runner()],
        "worker": lambda: simulated.processes("celery --app worker.tasks"),
        "supervisor": simulated.supervisors,
    }[victim]()
    killed.send_signal(signal.SIGKILL)
    simulated.until(lambda: child not in simulated.processes("sleep 3600"), 30)

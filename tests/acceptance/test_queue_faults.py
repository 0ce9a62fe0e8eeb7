"""Losing messages loses no work; cancelling stops it."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.states import State
from tests.deployment import Deployment
from tests.injected import enqueue, work
from tests.servers import Valkey


@pytest.mark.parametrize(
    "database_url",
    ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)],
    indirect=True,
)
def test_a_broker_that_is_emptied_loses_none_of_fifty_jobs(
    simulated: Deployment, broker: Valkey
) -> None:
    jobs = enqueue(simulated, *(work(simulated.home, f"w{number}") for number in range(50)))
    with broker.client() as client:
        assert client.llen("nightshelf.gpu.normal") == 4, "the others wait in SQL"
        client.flushall()
    simulated.start("worker")
    simulated.start("reconcile")
    simulated.until(lambda: simulated.job(jobs[3]).over)
    with broker.client() as client:
        client.flushall()
    simulated.until_over(*jobs)
    assert {simulated.job(job).state for job in jobs} == {State.SUCCEEDED}
    assert [simulated.outcomes(job) for job in jobs] == [["succeeded"]] * 50


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_job_recorded_while_the_broker_is_away_starts_when_it_is_back(
    deployed: Deployment, broker: Valkey, clip: Path
) -> None:
    broker.stop()
    said = deployed.cli("track", str(clip), "--model", "products")
    assert "queued" in said
    assert "The jobs are recorded, and start when it is back." in said
    [job] = deployed.cli_json("jobs", "list", "--kind", "track")
    broker.start()
    deployed.until_over(job["id"])
    assert deployed.outcomes(job["id"]) == ["succeeded"]


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_cancelling_stops_a_running_job_and_a_queued_one_never_starts(
    deployed: Deployment, clip: Path
) -> None:
    # Large enough to last for two commands on a machine that is busy.
    running = deployed.enqueue(clip, "--imgsz", "1280")
    queued = deployed.enqueue(clip, "--stride", "2")
    deployed.until_under_way(running)
    assert "is cancelled" in deployed.cli("jobs", "cancel", str(queued))
    assert "was told to stop" in deployed.cli("jobs", "cancel", str(running))
    deployed.until_over(running)
    assert deployed.job(running).state is State.CANCELLED
    assert deployed.outcomes(running) == ["cancelled"]
    assert deployed.outcomes(queued) == []
    assert not (deployed.home / "jobs" / str(running)).exists(), "no half result is left"
    assert "over already" in deployed.cli("jobs", "cancel", str(running), code=1)

    deployed.cli("jobs", "retry", str(queued))
    deployed.until_over(queued)
    assert deployed.job(queued).state is State.SUCCEEDED
    assert "ended as cancelled" in deployed.cli("jobs", "watch", str(running), code=3)


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_higher_priorities_go_first_whatever_the_order_in_which_they_were_asked_for(
    simulated: Deployment,
) -> None:
    low, normal, high = (
        simulated.enqueue(work(simulated.home, priority), "--priority", priority)
        for priority in ("low", "normal", "high")
    )
    simulated.start("worker")
    simulated.start("reconcile")
    simulated.until_over(low, normal, high)
    started = {job: simulated.job(job).started_at for job in (low, normal, high)}
    assert sorted(started, key=lambda job: str(started[job])) == [high, normal, low]

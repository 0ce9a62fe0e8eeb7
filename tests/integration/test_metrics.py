"""What Prometheus is told: right numbers, at a fixed price, on both databases."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, update

from db import backlog, job_creation, jobs
from db.dialect import engine, now, reading
from db.job_records import Progress
from db.metrics import registry
from db.specs import RegisterSpec, Spec
from db.tables import JobRow
from tests.compose_file import REPOSITORY
from tests.recorded import (
    WORKER,
    claimed,
    finished,
    register_model,
    sha256,
    track,
    track_result,
    track_spec,
)
from tests.statements import statements

Samples = dict[tuple[str, tuple[str, ...]], float]


def scrape(database: Engine | CollectorRegistry) -> Samples:
    """Every sample by its name and the values of its labels, in the order of their names."""
    source = database if isinstance(database, CollectorRegistry) else registry(database)
    return samples(generate_latest(source).decode())


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def spec(name: str) -> Spec:
    return RegisterSpec(name=name, weights=f"/w/{name}.pt", weights_sha256=sha256(name))


def queued(database: Engine, name: str, **columns: Any) -> int:
    """A queued job, its columns changed afterwards."""
    with database.begin() as tx:
        job, _ = job_creation.create(tx, spec(name), max_attempts=3)
        if columns:
            tx.execute(update(JobRow).where(JobRow.id == job.id).values(**columns))
    return job.id


def test_jobs_are_counted_by_kind_and_state(database: Engine) -> None:
    model = register_model(database, "coco", ["apple"])
    seen = track_result([track(1, 0, 0, 9)], ["apple"], 10)
    finished(database, track_spec(model), seen)
    with database.begin() as tx:
        claimed(tx, track_spec(model, "/footage/other.mp4"))
    queued(database, "a")
    found = scrape(database)
    assert found["nightshelf_jobs", ("register", "succeeded")] == 1
    assert found["nightshelf_jobs", ("register", "queued")] == 1
    assert found["nightshelf_jobs", ("track", "succeeded")] == 1
    assert found["nightshelf_jobs", ("track", "running")] == 1
    assert found["nightshelf_jobs", ("track", "failed")] == 0, "to be there before the first"
    assert found["nightshelf_database_up", ()] == 1


def test_attempts_are_counted_by_outcome(database: Engine) -> None:
    with database.begin() as tx:
        jobs.finish(tx, claimed(tx, spec("a")))
        jobs.hand_back(tx, claimed(tx, spec("b")))
        jobs.fail(tx, claimed(tx, spec("c")), "no")
        jobs.fail(tx, claimed(tx, spec("d")), "no")
        claimed(tx, spec("e"))
    found = scrape(database)
    assert {labels[0]: value for (name, labels), value in found.items() if "attempts" in name} == {
        "succeeded": 1,
        "handed back": 1,
        "failed": 2,
        "lost": 0,
        "split": 0,
        "cancelled": 0,
    }


def test_leases_that_hold_and_that_ran_out_are_told_apart(database: Engine) -> None:
    with database.begin() as tx:
        claimed(tx, spec("a"))
        lease = claimed(tx, spec("b"))
        tx.execute(update(JobRow).where(JobRow.id == lease.job.id).values(lease_expires_at=now(-1)))
        claimed(tx, spec("c"))
    found = scrape(database)
    assert found["nightshelf_leases", ("live",)] == 2
    assert found["nightshelf_leases", ("expired",)] == 1


def test_frames_and_seconds_of_footage_add_up_over_jobs(database: Engine) -> None:
    model = register_model(database, "coco", ["apple"])
    for frames in (10, 25):
        seen = track_result([track(1, 0, 0, 9)], ["apple"], frames, fps=5.0)
        finished(database, track_spec(model, f"/footage/{frames}.mp4"), seen)
    found = scrape(database)
    assert found["nightshelf_frames_processed_total", ()] == 35
    assert found["nightshelf_footage_seconds_total", ()] == pytest.approx(7.0)


def test_running_jobs_tell_their_speed_by_host_and_device(database: Engine) -> None:
    for name in ("a", "b"):
        with database.begin() as tx:
            lease = claimed(tx, spec(name))
            jobs.heartbeat(tx, lease, 60, Progress(50, 100, "frames", "detecting"))
            times = {"started_at": now(-20), "progress_at": now(-10)}
            tx.execute(update(JobRow).where(JobRow.id == lease.job.id).values(**times))
    with database.begin() as tx:
        jobs.heartbeat(tx, claimed(tx, spec("c")), 60, Progress(2, 3, "steps"))
    found = scrape(database)
    speeds = {key: value for key, value in found.items() if "per_second" in key[0]}
    assert speeds == {
        ("nightshelf_running_frames_per_second", (WORKER.device, WORKER.host)): pytest.approx(
            10, rel=0.05
        )
    }


def oldest_s(database: Engine) -> float:
    return scrape(database)["nightshelf_oldest_due_job_age_seconds", ()]


def test_the_age_of_the_oldest_due_job_is_that_of_one_that_could_run(database: Engine) -> None:
    assert oldest_s(database) == 0
    queued(database, "old", created_at=now(-1000))
    queued(database, "paused", created_at=now(-9000), not_before=now(1000))
    with database.begin() as tx:
        lease = claimed(tx, spec("taken"))
        tx.execute(update(JobRow).where(JobRow.id == lease.job.id).values(created_at=now(-9000)))
    assert oldest_s(database) == pytest.approx(1000, abs=30)


@pytest.mark.parametrize("after", ["a pause", "an attempt", "its children"])
def test_a_job_that_became_due_later_waits_since_then(database: Engine, after: str) -> None:
    if after == "a pause":
        queued(database, "a", created_at=now(-9000), not_before=now(-500))
    elif after == "an attempt":
        with database.begin() as tx:
            jobs.hand_back(tx, claimed(tx, spec("a")))
            tx.execute(update(JobRow).values(created_at=now(-9000)))
    else:
        with database.begin() as tx:
            job_creation.create(tx, spec("parent"), max_attempts=1, children=[spec("child")])
            [child] = tx.scalars(JobRow.__table__.select().with_only_columns(JobRow.id).offset(1))
            lease = jobs.claim(tx, child, WORKER, 60)
            assert lease is not None
            jobs.finish(tx, lease)
            tx.execute(update(JobRow).values(created_at=now(-9000)))
    assert oldest_s(database) == pytest.approx(500 if after == "a pause" else 0, abs=30)


def test_the_job_that_waits_longest_is_named_with_its_queue(database: Engine) -> None:
    queued(database, "a", created_at=now(-100))
    oldest = queued(database, "b", created_at=now(-200))
    with reading(database) as tx:
        waiting = backlog.longest_waiting(tx)
    assert waiting is not None
    assert (waiting.job_id, waiting.queue) == (oldest, "nightshelf.cpu.normal")


def test_a_scrape_costs_six_statements_however_many_jobs_there_are(database: Engine) -> None:
    metrics = registry(database)
    with statements(database) as few:
        scrape(metrics)
    model = register_model(database, "coco", ["apple"])
    for number in range(20):
        seen = track_result([track(1, 0, 0, 9)], ["apple"], 10)
        finished(database, track_spec(model, f"/footage/{number}.mp4"), seen)
        queued(database, f"q{number}")
        with database.begin() as tx:
            lease = claimed(tx, spec(f"r{number}"))
            jobs.heartbeat(tx, lease, 60, Progress(1, 2, "frames"))
    with statements(database) as many:
        scrape(metrics)
    assert len(few) == len(many) == 6, many


def test_a_database_that_is_away_is_told_and_not_hidden(tmp_path: Path) -> None:
    empty = engine(f"sqlite:///{tmp_path / 'empty.db'}")
    assert scrape(empty) == {("nightshelf_database_up", ()): 0}
    empty.dispose()


def environment(database_url: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("NIGHTSHELF_")}
    return inherited | {"NIGHTSHELF_DATABASE_URL": database_url}


def test_the_command_prints_what_a_scrape_gives(database: Engine, database_url: str) -> None:
    queued(database, "a")
    done = subprocess.run(
        [sys.executable, "-m", "producer", "metrics"],
        env=environment(database_url),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    printed = samples(done.stdout)
    assert printed["nightshelf_jobs", ("register", "queued")] == 1
    assert set(printed) == set(scrape(database))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_serves_on_loopback_alone_until_it_is_told_to_stop(
    database: Engine, database_url: str
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "producer", "metrics", "--serve", str(port)],
        env=environment(database_url),
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == f"Metrics: http://127.0.0.1:{port}/metrics\n"
        listening = psutil.Process(process.pid).net_connections("inet")
        assert {one.laddr.ip for one in listening} == {"127.0.0.1"}
        for jobs_there in (1, 2):
            queued(database, f"job{jobs_there}")
            with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                found = samples(answer.read().decode())
            assert found["nightshelf_jobs", ("register", "queued")] == jobs_there
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_scrapes_at_once_do_not_disturb_each_other(database: Engine) -> None:
    queued(database, "a")
    metrics, found = registry(database), []

    def read() -> None:
        found.append(scrape(metrics)["nightshelf_jobs", ("register", "queued")])

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [1, 1, 1, 1]

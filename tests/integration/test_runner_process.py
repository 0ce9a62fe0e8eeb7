"""A real runner at the end of a real pipe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from db.files import sha256_of
from db.specs import RegisterSpec
from tests.deployment import REPOSITORY, WEIGHTS
from worker.runner_process import RunnerDied, RunnerProcess
from worker.wire import Advanced, Broke, Done, FromRunner, Run


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[RunnerProcess]:
    started = RunnerProcess("cpu", tmp_path)
    yield started
    started.kill()
    assert not psutil.pid_exists(started.pid)


def register(home: Path, weights: Path) -> Run:
    spec = RegisterSpec(name="a", weights=str(weights), weights_sha256=sha256_of(weights))
    return Run(
        job_id=1,
        attempt=1,
        spec=spec,
        home=str(home),
        folder=str(home / "jobs/1/attempt-1"),
        roots=("/",),
        segment_s=600,
    )


def ending(runner: RunnerProcess) -> FromRunner:
    """The message with which a job ends."""
    for _ in range(600):
        message = runner.receive(0.1)
        if message is not None and not isinstance(message, Advanced):
            return message
    raise AssertionError("the job did not end within a minute")


def test_a_job_is_run_and_its_result_comes_back(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.send(register(tmp_path, WEIGHTS))
    done = ending(runner)
    assert isinstance(done, Done)
    assert done.result.kind == "register"
    assert len(done.result.class_names) == 6
    kept = tmp_path / "models" / sha256_of(WEIGHTS) / "weights.pt"
    assert kept.read_bytes() == WEIGHTS.read_bytes()
    assert runner.memory_mb > 50


def test_bad_input_comes_back_as_permanent_with_one_line_and_a_traceback(
    runner: RunnerProcess, tmp_path: Path
) -> None:
    text = tmp_path / "notes.pt"
    text.write_text("no weights")
    runner.send(register(tmp_path, text))
    broke = ending(runner)
    assert isinstance(broke, Broke)
    assert broke.permanent
    assert "\n" not in broke.error
    assert "Traceback" in (broke.traceback or "")
    runner.send(register(tmp_path, WEIGHTS))
    assert isinstance(ending(runner), Done), "the runner goes on after a job that raised"


def test_a_runner_that_is_killed_says_by_what(runner: RunnerProcess) -> None:
    time.sleep(2)  # past its start: an abort before faulthandler is on leaves no word
    os.kill(runner.pid, signal.SIGABRT)
    with pytest.raises(RunnerDied, match="was killed by SIGABRT") as died:
        runner.receive(30)
    assert "Abort" in died.value.last_words, "faulthandler wrote where it was"
    assert not runner.alive


def test_a_runner_gets_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NIGHTSHELF_DATABASE_URL", "postgresql://user:hunter2@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    started = RunnerProcess("cpu", tmp_path)
    try:
        environment = psutil.Process(started.pid).environ()
    finally:
        started.kill()
    assert "hunter2" not in " ".join(environment.values())
    assert environment["YOLO_OFFLINE"] == "true"


def test_a_runner_dies_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path;"
        "from worker.runner_process import RunnerProcess;"
        f"print(RunnerProcess('cpu', Path({str(tmp_path)!r})).pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(1)  # past the moment at which it binds itself
        assert psutil.pid_exists(pid)
        parent.kill()
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)
    raise AssertionError("the runner outlived its parent")

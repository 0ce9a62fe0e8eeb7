"""The log: one form for every process of ours, what a line speaks of, and no secret in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine, update

from db import jobs
from db.dialect import now
from db.settings import Settings
from db.tables import JobRow
from tests.compose_file import REPOSITORY
from tests.recorded import claimed, track_spec

SECRETS = {
    "NIGHTSHELF_DATABASE_URL": "postgresql+psycopg://night:hunter2%2F@127.0.0.1:1/nightshelf",
    "NIGHTSHELF_BROKER_URL": "redis://:hunter3@127.0.0.1:1/0",
    "NIGHTSHELF_FLOWER_AUTH": "one:hunter4,two:hunter5",
}

KEYS = {"time", "level", "logger", "message", "job", "attempt", "worker", "device"}

_SPEAK = """\
import logging, threading, warnings
from db import logs
from db.settings import settings
logs.configure(settings(), worker="cpu-1@here", device="cpu")
log = logging.getLogger("worker.execution")
log.info("before")
with logs.about(job=7, attempt=2):
    log.info("job %d: two\\nlines", 7)
    other = threading.Thread(target=log.info, args=("another thread",))
    other.start()
    other.join()
    try:
        raise OSError(" ".join((settings().database, settings().broker)))
    except OSError:
        log.exception("failed with %s", settings().flower_auth.get_secret_value())
log.debug("too fine")
log.warning("hunter2/ hunter3")
warnings.warn("said by a library")
"""


def run(*command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("NIGHTSHELF_")}
    return subprocess.run(
        [sys.executable, *command],
        env=inherited | settings,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def spoken(log_format: str) -> str:
    done = run("-c", _SPEAK, NIGHTSHELF_LOG_FORMAT=log_format, **SECRETS)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_is_one_object_with_the_same_keys() -> None:
    said = lines(spoken("json"))
    assert [set(line) - {"traceback"} for line in said] == [KEYS] * len(said)
    assert {(line["worker"], line["device"]) for line in said} == {("cpu-1@here", "cpu")}
    assert said[0]["logger"] == "worker.execution"
    assert said[0]["level"] == "INFO"
    assert datetime.fromisoformat(said[0]["time"]).tzinfo is not None


def test_a_line_says_which_attempt_at_which_job_it_speaks_of() -> None:
    said = {line["message"].splitlines()[0]: line for line in lines(spoken("json"))}
    assert [said["before"][key] for key in ("job", "attempt")] == [None, None]
    assert [said["job 7: two"][key] for key in ("job", "attempt")] == [7, 2]
    assert said["another thread"]["job"] is None, "another thread may work for another job"
    assert said["*** ***"]["job"] is None, "it is over"


def test_a_traceback_is_a_key_and_a_warning_a_line() -> None:
    said = lines(spoken("json"))
    [failed] = [line for line in said if "traceback" in line]
    assert failed["traceback"].startswith("Traceback (most recent call last):\n")
    assert any("said by a library" in line["message"] for line in said)


def test_text_is_for_people() -> None:
    said = spoken("text")
    assert " INFO worker.execution: before\n" in said
    assert "Traceback (most recent call last):\n" in said
    assert "too fine" not in said


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_password_is_in_a_line_or_a_traceback(log_format: str) -> None:
    said = spoken(log_format)
    assert "***" in said, "there was something to hide"
    assert "hunter" not in said


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    "command",
    [
        ("worker",),
        ("reconcile", "--once"),
        ("metrics",),
        ("healthy", "worker"),
        ("db", "upgrade"),
        ("jobs", "list"),
    ],
    ids=" ".join,
)
def test_a_server_that_is_away_is_told_without_the_password(
    command: tuple[str, ...], log_format: str
) -> None:
    done = run("-m", "producer", *command, NIGHTSHELF_LOG_FORMAT=log_format, **SECRETS)
    assert done.returncode == 1
    assert "the database does not answer" in done.stderr
    assert "hunter" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("redis://:hunter3@[::1", "hunter3"),
        ("redis://:hunter3@host:port/0", "hunter3"),
        ("redis://user:hunter/@6@host/0", "hunter/@6"),
    ],
)
def test_the_password_of_an_address_that_cannot_be_parsed_is_hidden_too(
    url: str, password: str
) -> None:
    done = run("-c", _SPEAK, **SECRETS | {"NIGHTSHELF_BROKER_URL": url})
    assert done.returncode == 0, done.stderr
    assert "***" in done.stderr
    assert password not in done.stderr


def test_the_reconciler_says_which_attempt_at_which_job_it_gave_up(
    database: Engine, configured: Settings
) -> None:
    with database.begin() as tx:
        job = claimed(tx, track_spec("a" * 64)).job
        tx.execute(update(JobRow).values(lease_expires_at=now(-1)))
    done = run(
        *("-m", "producer", "reconcile", "--once"),
        NIGHTSHELF_LOG_FORMAT="json",
        NIGHTSHELF_DATABASE_URL=configured.database,
        NIGHTSHELF_BROKER_URL=configured.broker,
        NIGHTSHELF_HOME=str(configured.home),
    )
    line, end = done.stderr.splitlines()
    said = json.loads(line)
    assert (said["logger"], said["level"]) == ("producer.reconcile", "WARNING")
    assert (said["job"], said["attempt"]) == (job.id, 1)
    assert end == "nightshelf: the broker does not answer: OperationalError"
    with database.begin() as tx:
        assert jobs.expired(tx) == []
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("setting", "value"), [("LEASE_S", "soon"), ("LOG_FORMAT", "xml"), ("LOG_LEVEL", "LOUD")]
)
def test_a_worker_with_settings_that_cannot_be_says_so_in_one_line(
    setting: str, value: str
) -> None:
    done = run("-m", "worker", **{f"NIGHTSHELF_{setting}": value})
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"nightshelf worker: NIGHTSHELF_{setting}: ")

"""On what would lose or repeat work a worker does not start, and says why."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from db.dialect import wal_is_safe
from db.doctor.broker import examine
from db.settings import Settings
from tests.deployment import Deployment, deployment
from tests.servers import Valkey, valkey

EVICTING = ("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def refusal(made: Deployment) -> list[str]:
    """The reasons with which `nightshelf worker` ends at once, each on a line of its own."""
    name = "nightshelf worker: "
    lines = made.cli("worker", code=1).splitlines()
    return [line.removeprefix(name) for line in lines if line.startswith(name)]


def values(broker: Valkey) -> list[str]:
    """What `doctor` finds of a broker and the workers on it."""
    return [one.value for one in examine(Settings(broker_url=broker.url))]


def started(made: Deployment) -> bool:
    return bool(made.processes("celery --app worker.tasks"))


@on_sqlite
def test_a_worker_refuses_a_broker_that_deletes_queues(home: Path, database_url: str) -> None:
    with valkey(*EVICTING) as server, deployment(home, database_url, server.url) as made:
        [line] = refusal(made)
    assert line.startswith("broker's maxmemory-policy: allkeys-lru, at 64 MiB: ")
    assert "noeviction" in line


def test_a_worker_gives_every_reason_on_a_line_of_its_own(
    home: Path, database: Engine, database_url: str
) -> None:
    with database.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with valkey(*EVICTING) as server, deployment(home, database_url, server.url) as made:
        schema, policy = refusal(made)
    assert schema.startswith("database's schema: ")
    assert "install the version" in schema
    assert policy.startswith("broker's maxmemory-policy: ")


@on_sqlite
@pytest.mark.skipif(
    wal_is_safe(sqlite3.sqlite_version_info), reason="this SQLite's write-ahead log is safe"
)
def test_a_worker_refuses_an_unsafe_write_ahead_log_until_the_cure_was_taken(
    home: Path, database: Engine, database_url: str, broker: Valkey
) -> None:
    database.dispose()
    connection = sqlite3.connect(str(database.url.database))
    connection.execute("PRAGMA journal_mode = WAL").close()
    connection.close()
    with deployment(home, database_url, broker.url) as made:
        [line] = refusal(made)
        assert line.startswith("database's journal: wal, SQLite ")
        assert "`nightshelf db upgrade`" in line
        made.cli("db", "upgrade")
        made.start("worker")
        made.until(lambda: started(made), 30)


@on_sqlite
def test_a_worker_refuses_a_home_that_it_cannot_write_to(
    home: Path, database_url: str, broker: Valkey
) -> None:
    (home / "file").touch()
    with deployment(home, database_url, broker.url) as made:
        made.environment["NIGHTSHELF_HOME"] = str(home / "file" / "home")
        [line] = refusal(made)
    assert line.startswith("home: ")


@on_sqlite
def test_a_worker_starts_while_the_broker_is_away_and_works_when_it_is_there(
    home: Path, database_url: str, broker: Valkey
) -> None:
    broker.stop()
    with deployment(home, database_url, broker.url) as made:
        made.start("worker")
        made.until(lambda: started(made), 30)
        broker.start()
        made.until(lambda: "86400 s, the shortest of 1" in values(broker), 60)


@on_sqlite
def test_a_worker_starts_on_what_is_bad_but_loses_no_work(home: Path, database_url: str) -> None:
    with (
        valkey("--appendonly", "no") as server,
        deployment(home, database_url, server.url) as made,
    ):
        made.start("worker")
        made.until(lambda: started(made), 30)

"""What `nightshelf doctor` sees of real databases that are set wrongly."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from db import schema
from db.dialect import engine, wal_is_safe
from db.doctor import database as database_area
from db.settings import Settings
from tests.findings import BAD, FATAL, SECRET, by_name, wrong

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def on_database(url: str) -> Settings:
    return Settings(database_url=url)


@on_sqlite
def test_a_sqlite_database_at_head_is_well(database_url: str) -> None:
    found = database_area.examine(on_database(database_url))
    assert wrong(found) == {}
    values = {what: one.value for what, one in by_name(found).items()}
    assert values["database"] == f"SQLite {sqlite3.sqlite_version}"
    assert values["database's schema"] == schema.head()


@on_postgresql
def test_a_postgresql_that_does_not_flush_is_bad_and_the_rest_of_it_well(
    database_url: str,
) -> None:
    found = database_area.examine(on_database(database_url))
    assert wrong(found) == {"database's fsync": BAD}, "the tests' cluster runs without"
    values = {what: one.value for what, one in by_name(found).items()}
    assert values["database"].startswith("PostgreSQL ")
    assert values["database's schema"] == schema.head()
    assert values["database's clock"] == "the same as this machine's"


@on_postgresql
@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("synchronous_commit", "off", "database's synchronous_commit"),
        ("default_transaction_isolation", "serializable", "database's isolation"),
    ],
)
def test_a_postgresql_set_wrongly_is_told_by_what_is_wrong(
    database: Engine, database_url: str, name: str, value: str, what: str
) -> None:
    with database.begin() as tx:
        here = tx.scalar(text("SELECT current_database()"))
        tx.execute(text(f"ALTER DATABASE {here} SET {name} = '{value}'"))
    database.dispose()  # it counts for new connections
    found = database_area.examine(on_database(database_url))
    assert wrong(found) == {"database's fsync": BAD, what: BAD}
    assert by_name(found)[what].value == value


@pytest.mark.parametrize(
    ("revision", "cure"), [("0000", "install the version"), (None, "`nightshelf db upgrade`")]
)
def test_a_schema_that_is_not_ours_is_fatal(
    database: Engine, database_url: str, revision: str | None, cure: str
) -> None:
    with database.begin() as tx:
        tx.execute(text("DELETE FROM alembic_version"))
        if revision:
            tx.execute(text("INSERT INTO alembic_version VALUES (:it)"), {"it": revision})
    found = by_name(database_area.examine(on_database(database_url)))["database's schema"]
    assert found.verdict is FATAL
    assert cure in found.cure


@pytest.mark.parametrize(
    ("url", "value"),
    [
        (f"postgresql+psycopg://user:{SECRET}@127.0.0.1:1/nightshelf", "does not answer"),
        (f"postgresql+psycopg://user@127.0.0.1:1/x?password={SECRET}", "does not answer"),
        (f"mysql://user:{SECRET}@host/nightshelf", "must be PostgreSQL or SQLite"),
        (f"nonsense:{SECRET}", "cannot be read"),
    ],
)
def test_a_database_that_is_not_there_is_fatal_and_its_password_not_told(
    url: str, value: str
) -> None:
    found = database_area.examine(on_database(url))
    assert wrong(found) == {"database": FATAL}
    assert value in by_name(found)["database"].value


def test_a_file_that_is_no_database_is_fatal(tmp_path: Path) -> None:
    path = tmp_path / "nightshelf.db"
    path.write_bytes(b"this is a shopping list, and no database" * 100)
    found = database_area.examine(on_database(f"sqlite:///{path}"))
    assert wrong(found) == {"database": FATAL}


def test_a_database_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    found = database_area.examine(on_database(f"sqlite:///{tmp_path / 'none.db'}"))
    assert wrong(found) == {"database's schema": FATAL}
    assert list(tmp_path.iterdir()) == []


def journal_of(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    finally:
        connection.close()


@on_sqlite
def test_a_write_ahead_log_is_seen_as_it_is_and_left_so(database_url: str, tmp_path: Path) -> None:
    engine(database_url).dispose()
    [path] = tmp_path.glob("*.db")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL").close()
    connection.close()
    expected = {} if wal_is_safe(sqlite3.sqlite_version_info) else {"database's journal": FATAL}
    found = database_area.examine(on_database(database_url))
    assert wrong(found) == expected
    assert by_name(found)["database's journal"].value.startswith("wal, SQLite 3.")
    assert journal_of(path) == "wal"


@on_sqlite
def test_the_cure_for_an_unsafe_write_ahead_log_cures_it(database_url: str, tmp_path: Path) -> None:
    engine(database_url).dispose()
    [path] = tmp_path.glob("*.db")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL").close()
    connection.close()
    schema.upgrade(engine(database_url))  # `nightshelf db upgrade`
    assert wrong(database_area.examine(on_database(database_url))) == {}

"""Whether the database keeps what is written, and is the one this code was written for.

Beside `db.dialect` the only file that tells PostgreSQL from SQLite: what can be wrong differs.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, NullPool, create_engine, select, text
from sqlalchemy.exc import DBAPIError

from db import schema
from db.dialect import BUSY_TIMEOUT_S, engine, now, reading, sqlite_file, wal_is_safe
from db.doctor.clock import clock, offset_s
from db.doctor.finding import Finding, Verdict
from db.errors import NightshelfError, SchemaBehind, Unreachable, UsageError
from db.settings import PREFIX, Settings

# The oldest that the tests run on.
_POSTGRESQL = (15,)

_ADDRESS = "start the server, or mend its address"


def examine(config: Settings) -> list[Finding]:
    """Everything about the database of `config`; it is not changed, nor made if it is absent."""
    try:
        found = engine(config.database)
        file = sqlite_file(found)
        if file is None:
            return _postgresql(found)
        if not file.exists():
            return [_schema(found)]
        return _sqlite(_as_it_is(file))
    except UsageError as error:
        return [Finding("database", str(error), Verdict.FATAL, f"set {PREFIX}DATABASE_URL")]
    except DBAPIError as error:
        return [_unreachable(schema.unreachable(error))]


def _unreachable(error: NightshelfError) -> Finding:
    return Finding("database", str(error), Verdict.FATAL, _ADDRESS)


def _as_it_is(file: Path) -> Engine:
    """An engine that sets nothing: that of `db.dialect` sets the journal which is to be seen."""

    def connect() -> sqlite3.Connection:
        # Not read-only: a journal that a crash has left is rolled back by whoever comes first.
        address = f"{file.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S)

    return create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)


def _sqlite(found: Engine) -> list[Finding]:
    with reading(found) as tx:
        journal = str(tx.scalar(text("PRAGMA journal_mode")))
        version = str(tx.scalar(text("SELECT sqlite_version()")))
        seen = [Finding("database", f"SQLite {version}"), sqlite_journal(version, journal)]
    return [*seen, _schema(found)]


def sqlite_journal(version: str, journal: str) -> Finding:
    """The verdict on a journal mode under a version of SQLite."""
    what, value = "database's journal", f"{journal.lower()}, SQLite {version}"
    if journal.lower() != "wal" or wal_is_safe(tuple(map(int, version.split(".")))):
        return Finding(what, value)
    return Finding(
        what,
        value,
        Verdict.FATAL,
        "this SQLite can corrupt a write-ahead log: stop all that use the file, then run "
        "`nightshelf db upgrade`, which sets the rollback journal; or use a Python with "
        "SQLite 3.51.3 or later (https://sqlite.org/wal.html)",
    )


def _schema(found: Engine) -> Finding:
    what = "database's schema"
    try:
        schema.check(found)
    except SchemaBehind as error:
        value, _, cure = str(error).rpartition(": ")
        return Finding(what, value, Verdict.FATAL, cure)
    except Unreachable as error:
        return _unreachable(error)
    return Finding(what, schema.head())


def _postgresql(found: Engine) -> list[Finding]:
    with reading(found) as tx:
        seen = [
            postgresql_version(divmod(int(_setting(tx, "server_version_num")), 10_000)),
            *(durability(name, _setting(tx, name)) for name in ("fsync", "synchronous_commit")),
            isolation(_setting(tx, "default_transaction_isolation")),
            clock("database's", offset_s(lambda: tx.execute(select(now())).scalar_one())),
        ]
    return [*seen, _schema(found)]


def _setting(tx: Connection, name: str) -> str:
    return str(tx.scalar(text("SELECT current_setting(:name)"), {"name": name}))


def postgresql_version(version: tuple[int, ...]) -> Finding:
    """The verdict on a server's version, such as (15, 14)."""
    what, value = "database", f"PostgreSQL {'.'.join(map(str, version))}"
    if version >= _POSTGRESQL:
        return Finding(what, value)
    cure = f"upgrade it: the tests run on PostgreSQL {_POSTGRESQL[0]} and later"
    return Finding(what, value, Verdict.WARNING, cure)


def durability(name: str, value: str) -> Finding:
    """The verdict on `fsync` or `synchronous_commit`: whether what is committed stays."""
    what = f"database's {name}"
    if value != "off":
        return Finding(what, value)
    return Finding(
        what,
        value,
        Verdict.BAD,
        f"set {name} = on: a crash of the server's machine can lose committed results",
    )


def isolation(level: str) -> Finding:
    """The verdict on the isolation that a transaction has unless it asks for another."""
    what = "database's isolation"
    if level == "read committed":
        return Finding(what, level)
    return Finding(
        what,
        level,
        Verdict.BAD,
        "set default_transaction_isolation = 'read committed' for this user: two workers that "
        "claim at once would get an error instead of the next job",
    )

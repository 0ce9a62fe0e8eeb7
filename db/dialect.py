"""The one place that knows whether the database is PostgreSQL or SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    DateTime,
    Dialect,
    Engine,
    TypeDecorator,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from db.errors import NightshelfError, UsageError

# How long a writer waits for SQLite's lock before it gives up. Our transactions take
# milliseconds; a minute covers a machine that swaps.
BUSY_TIMEOUT_S = 60.0

# How long PostgreSQL waits for the next statement of a transaction. Ours follow each other within
# milliseconds; of a worker that froze between two, or whose machine is gone, the server would keep
# the locks, and the reconciler would wait for them.
IDLE_TIMEOUT_S = 15

# A WAL reset racing a checkpoint can corrupt the database in releases before these:
# https://sqlite.org/wal.html, "The WAL-Reset Bug".
_WAL_SAFE = ((3, 44, 6, 45), (3, 50, 7, 51), (3, 51, 3, 10**9))


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime: `timestamptz` on PostgreSQL, text without an offset on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive value: nobody could say what it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give what the database holds as UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class _Now(FunctionElement[datetime]):
    """The database's own clock, `seconds` from now."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(_Now, "postgresql")
def _now_postgresql(element: _Now, compiler: Any, **kwargs: Any) -> str:
    # clock_timestamp() and not now(): the latter stands still within a transaction.
    seconds = compiler.process(element.clauses, **kwargs)
    return f"(clock_timestamp() + make_interval(secs => {seconds}))"


@compiles(_Now, "sqlite")
def _now_sqlite(element: _Now, compiler: Any, **kwargs: Any) -> str:
    # Milliseconds, padded to the microseconds that SQLAlchemy writes and reads.
    seconds = compiler.process(element.clauses, **kwargs)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000')"


def now(seconds: float = 0.0) -> ColumnElement[datetime]:
    """The database's time, `seconds` later (or, where negative, earlier)."""
    return _Now(float(seconds))


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Whether SQLite of this version is free of the WAL-reset corruption."""
    major, minor, patch = version[:3]
    return any(
        (major, minor, patch) >= (floor_major, floor_minor, floor_patch) and minor < next_minor
        for floor_major, floor_minor, floor_patch, next_minor in _WAL_SAFE
    )


@lru_cache
def engine(url: str) -> Engine:
    """The engine for a database address; one per process and address.

    Raises:
        UsageError: the address is not one of a PostgreSQL or SQLite database.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend not in ("postgresql", "sqlite"):
            raise UsageError(f"the database must be PostgreSQL or SQLite, not {backend}")
        if backend == "sqlite":
            return _sqlite(url)
        return _postgresql(parsed)
    except (ArgumentError, NoSuchModuleError):
        # The address may hold a password: it is not repeated.
        raise UsageError(
            "the database's address cannot be read; it looks like "
            "postgresql+psycopg://user:password@host/nightshelf"
        ) from None


def _postgresql(url: URL) -> Engine:
    made = create_engine(
        url, pool_pre_ping=True, connect_args={"connect_timeout": 10}, hide_parameters=True
    )

    @event.listens_for(made, "connect")
    def _configure(connection: Any, record: Any) -> None:
        connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_S}s'")
        connection.commit()

    return made


def _sqlite(url: str) -> Engine:
    made = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True)
    journal = "WAL" if wal_is_safe(sqlite3.sqlite_version_info) else "DELETE"

    @event.listens_for(made, "connect")
    def _configure(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        for pragma in (f"journal_mode={journal}", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(made, "begin")
    def _begin(connection: Any) -> None:
        # Take the write lock at once: a transaction that reads first and writes later
        # cannot be made to wait, it fails (https://sqlite.org/lang_transaction.html).
        reads = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return made


def sqlite_file(engine: Engine) -> Path | None:
    """The file of a SQLite database; None for PostgreSQL."""
    name = engine.url.database
    return Path(name) if engine.dialect.name == "sqlite" and name else None


@contextmanager
def changing_schema(engine: Engine) -> Iterator[Connection]:
    """A transaction in which tables may be altered, all of it or nothing.

    SQLite alters a table by making another in its place, and would take the rows that point to
    the first for lost: it is told not to look, and to look at all of them at the end
    (https://sqlite.org/lang_altertable.html#otheralter).

    Raises:
        NightshelfError: a row points nowhere then.
    """
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            with connection.begin():
                yield connection
            return
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA foreign_keys=OFF").close()
        try:
            with connection.begin():
                yield connection
                if lost := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise NightshelfError(f"a row of {lost[0]} points nowhere: nothing was changed")
        finally:
            driver.execute("PRAGMA foreign_keys=ON").close()


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads, and so never waits for a writer to be done on SQLite."""
    with engine.connect().execution_options(read_only=True) as connection, connection.begin():
        yield connection

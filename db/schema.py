"""The database's schema: bringing it up to date, and refusing to work on one that is not."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from db import reports
from db.dialect import changing_schema, reading, sqlite_file
from db.errors import SchemaBehind, Unreachable

_MIGRATIONS = Path(__file__).parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


def head() -> str:
    """The revision that this code was written for."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None, "the package has no migrations"
    return revision


def current(tx: Connection) -> str | None:
    """The revision that the database is at; None for an empty one."""
    return MigrationContext.configure(tx).get_current_revision()


def upgrade(engine: Engine) -> tuple[str | None, str]:
    """Bring the schema and the report views up to date.

    Returns:
        the revision before, and the one after.

    Raises:
        Unreachable: the database does not answer.
    """
    if (file := sqlite_file(engine)) is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with changing_schema(engine) as tx:
            before = current(tx)
            for name in reports.NAMES:
                tx.execute(text(f"DROP VIEW IF EXISTS {name}"))
            config = _config()
            config.attributes["connection"] = tx
            command.upgrade(config, "head")
            for name in reports.NAMES:
                tx.execute(text(f"CREATE VIEW {name} AS {reports.load(name).sql}"))
            return before, head()
    except OperationalError as error:
        raise unreachable(error) from None


def check(engine: Engine) -> None:
    """Make sure that the schema is the one this code was written for.

    Raises:
        SchemaBehind: it is not; the message says which command to run.
        Unreachable: the database does not answer.
    """
    file = sqlite_file(engine)
    try:
        if file is not None and not file.exists():
            revision = None  # connecting would make an empty file
        else:
            with reading(engine) as tx:
                revision = current(tx)
    except DBAPIError as error:  # a file that is no database, too
        raise unreachable(error) from None
    if revision == head():
        return
    if revision is None:
        raise SchemaBehind(
            "the database has no tables yet: run `nightshelf up`, or `nightshelf db upgrade`"
        )
    if revision in {
        script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()
    }:
        raise SchemaBehind(
            f"the database's schema ({revision}) is behind this version's ({head()}): "
            "run `nightshelf db upgrade`"
        )
    raise SchemaBehind(
        f"the database's schema ({revision}) is newer than this version's ({head()}): "
        "install the version of nightshelf that upgraded it"
    )


def unreachable(error: DBAPIError) -> Unreachable:
    """The same error in one line, without the address, which may hold a password."""
    reason = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
    return Unreachable(f"the database does not answer: {reason} (NIGHTSHELF_DATABASE_URL)")

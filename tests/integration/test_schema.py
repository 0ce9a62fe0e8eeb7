"""Migrations and the check of the schema, on SQLite and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from db import reports, schema
from db.dialect import engine
from db.errors import SchemaBehind, Unreachable
from db.tables import Base


def test_the_migrations_make_the_tables_that_the_code_declares(database: Engine) -> None:
    with database.begin() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_report_is_a_view_too(database: Engine) -> None:
    assert set(inspect(database).get_view_names()) == set(reports.NAMES)


def test_upgrading_twice_changes_nothing(database: Engine) -> None:
    assert schema.upgrade(database) == (schema.head(), schema.head())
    schema.check(database)


@pytest.mark.parametrize(
    ("revision", "advice"),
    [("0000", "install the version"), (None, "nightshelf db upgrade")],
)
def test_a_schema_that_is_not_ours_is_refused_with_what_to_do(
    database: Engine, revision: str | None, advice: str
) -> None:
    with database.begin() as tx:
        tx.execute(text("DELETE FROM alembic_version"))
        if revision:
            tx.execute(text("INSERT INTO alembic_version VALUES (:it)"), {"it": revision})
    with pytest.raises(SchemaBehind, match=advice):
        schema.check(database)


def test_looking_at_a_database_that_does_not_exist_makes_no_file(tmp_path: Path) -> None:
    missing = engine(f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(SchemaBehind, match="no tables yet"):
        schema.check(missing)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    away = engine("postgresql+psycopg://user:hunter2@127.0.0.1:1/nightshelf")
    with pytest.raises(Unreachable, match="does not answer") as caught:
        schema.check(away)
    assert "hunter2" not in str(caught.value)

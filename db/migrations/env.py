"""Runs the migrations on the connection that `db.schema` opened."""

from __future__ import annotations

from alembic import context

import db.results  # noqa: F401 - what writes to a table imports it, and so declares it
from db.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    # SQLite takes part in the caller's transaction only if nobody else begins one.
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()

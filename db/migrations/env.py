"""Runs the migrations on the connection that `db.schema` opened."""

from __future__ import annotations

from alembic import context

from db.evaluation_tables import EvaluationRow  # it imports the other tables: all are known

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=EvaluationRow.metadata,
    render_as_batch=True,
    # SQLite takes part in the caller's transaction only if nobody else begins one.
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()

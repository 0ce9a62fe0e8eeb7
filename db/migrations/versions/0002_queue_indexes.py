"""indexes for what is asked for at every turn of the queue, however long it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    _create("ix_jobs_unrung", ["queue", "parent_id", "id"], "state = 'queued' AND rung_at IS NULL")
    _create("ix_jobs_rung", ["queue"], "rung_at IS NOT NULL")
    _create("ix_jobs_live_children", ["parent_id"], "parent_id IS NOT NULL AND ended_at IS NULL")
    _create("ix_jobs_idle", ["created_at"], "ended_at IS NULL AND lease_token IS NULL")


def _create(name: str, columns: list[str], where: str) -> None:
    op.create_index(
        name, "jobs", columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where)
    )

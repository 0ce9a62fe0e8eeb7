"""registry: versions of a model's name, their stages, and who changed them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import db.dialect

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_STAGE = "stage IN ('candidate', 'production', 'retired')"


def upgrade() -> None:
    """Bring the schema forward: what is registered is version 1 of its name, and in use."""
    op.create_table(
        "model_stages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("changed_at", db.dialect.UtcDateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=True),
        sa.CheckConstraint(_STAGE, name=op.f("ck_model_stages_stage")),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_model_stages_model_id_models")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_model_stages_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_stages")),
    )
    op.create_index(op.f("ix_model_stages_model_id"), "model_stages", ["model_id"])
    with op.batch_alter_table("models") as models:
        models.drop_constraint("uq_models_name", type_="unique")
        models.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
        models.add_column(
            sa.Column("stage", sa.Text(), nullable=False, server_default="production")
        )
        models.create_unique_constraint(op.f("uq_models_name_version"), ["name", "version"])
        models.create_check_constraint(op.f("ck_models_numbered_from_1"), "version >= 1")
        models.create_check_constraint(op.f("ck_models_stage"), _STAGE)
    with op.batch_alter_table("models") as models:
        models.alter_column("version", server_default=None)
        models.alter_column("stage", server_default=None)
    in_production = sa.text("stage = 'production'")
    op.create_index(
        "uq_models_in_production",
        "models",
        ["name"],
        unique=True,
        postgresql_where=in_production,
        sqlite_where=in_production,
    )
    op.execute(
        "INSERT INTO model_stages (model_id, stage, changed_at, changed_by, why) "
        "SELECT id, stage, added_at, 'nightshelf db upgrade', 'it was in use' FROM models"
    )

"""data sets: what is in one, by split and class, and what is wrong with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

import db.dialect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    op.create_table(
        "datasets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=True),
        sa.Column("checked_at", db.dialect.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_datasets_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint("sha256", name=op.f("uq_datasets_sha256")),
    )
    _of_dataset(
        "dataset_classes",
        ["split", "class_id"],
        sa.Column("split", sa.Text(), nullable=False),
        sa.Column("class_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
    )
    _of_dataset(
        "dataset_splits",
        ["split"],
        sa.Column("split", sa.Text(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("labelled", sa.Integer(), nullable=False),
        sa.Column("background", sa.Integer(), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("mean_per_class", sa.Double(), nullable=False),
        sa.Column("most_frequent", sa.Text(), nullable=True),
        sa.Column("least_frequent", sa.Text(), nullable=True),
        sa.Column("imbalance", sa.Double(), nullable=True),
        sa.Column("small", sa.Integer(), nullable=False),
        sa.CheckConstraint("images = labelled + background", name=op.f("ck_dataset_splits_images")),
    )
    _of_dataset(
        "dataset_findings",
        ["number"],
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("split", sa.Text(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("examples", sa.JSON(), nullable=False),
        sa.CheckConstraint(
            "severity IN ('warning', 'error')", name=op.f("ck_dataset_findings_severity")
        ),
    )


def _of_dataset(table: str, key: list[str], *parts: SchemaItem) -> None:
    op.create_table(
        table,
        sa.Column("dataset_id", sa.Integer(), autoincrement=False, nullable=False),
        *parts,
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f(f"fk_{table}_dataset_id_datasets")
        ),
        sa.PrimaryKeyConstraint("dataset_id", *key, name=op.f(f"pk_{table}")),
    )

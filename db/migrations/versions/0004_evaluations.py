"""evaluations: how good a model is on a split of a data set."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    whole = ("imgsz", "batch", "max_det", "images", "instances")
    real = ("conf", "iou", "precision", "recall", "f1", "map50", "map50_95")
    speed = ("preprocess_ms", "inference_ms", "postprocess_ms")
    op.create_table(
        "evaluations",
        sa.Column("job_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("split", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in whole),
        *(sa.Column(name, sa.Double(), nullable=False) for name in (*real, *speed)),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_evaluations_job_id_jobs")),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_evaluations_model_id_models")
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_evaluations_dataset_id_datasets")
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_evaluations")),
    )
    op.create_index(op.f("ix_evaluations_model_id"), "evaluations", ["model_id"])
    op.create_index(op.f("ix_evaluations_dataset_id"), "evaluations", ["dataset_id"])
    op.create_table(
        "evaluation_classes",
        sa.Column("job_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=True) for name in real[2:]),
        sa.CheckConstraint(
            "(instances = 0) = (map50 IS NULL)", name=op.f("ck_evaluation_classes_measured")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["evaluations.job_id"],
            name=op.f("fk_evaluation_classes_job_id_evaluations"),
        ),
        sa.PrimaryKeyConstraint("job_id", "class", name=op.f("pk_evaluation_classes")),
    )

"""trainings: what was asked of a training, and how each epoch went."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import db.dialect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    op.create_table(
        "trainings",
        sa.Column("job_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("base_model_id", sa.Integer(), nullable=True),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("args", sa.JSON(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("batch", "epochs", "epochs_run", "best_epoch")
        ),
        sa.Column("stopped_early", sa.Boolean(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("extends_job_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("epochs_run >= 1", name=op.f("ck_trainings_epochs_run")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_trainings_job_id_jobs")),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_trainings_model_id_models")
        ),
        sa.ForeignKeyConstraint(
            ["base_model_id"], ["models.id"], name=op.f("fk_trainings_base_model_id_models")
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_trainings_dataset_id_datasets")
        ),
        sa.ForeignKeyConstraint(
            ["extends_job_id"], ["jobs.id"], name=op.f("fk_trainings_extends_job_id_jobs")
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_trainings")),
    )
    for column in ("model_id", "base_model_id", "dataset_id"):
        op.create_index(op.f(f"ix_trainings_{column}"), "trainings", [column])
    losses = ("box_loss", "cls_loss", "dfl_loss")
    metrics = ("precision", "recall", "map50", "map50_95")
    op.create_table(
        "training_epochs",
        sa.Column("job_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in losses),
        *(sa.Column(f"val_{name}", sa.Double(), nullable=True) for name in losses),
        *(sa.Column(name, sa.Double(), nullable=False) for name in metrics),
        sa.Column("learning_rates", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("best", sa.Boolean(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=True),
        sa.Column("checkpoint_sha256", sa.Text(), nullable=True),
        sa.Column("ended_at", db.dialect.UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint("epoch >= 1", name=op.f("ck_training_epochs_numbered_from_1")),
        sa.CheckConstraint(
            "(checkpoint IS NULL) = (checkpoint_sha256 IS NULL)",
            name=op.f("ck_training_epochs_checkpoint"),
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_training_epochs_job_id_jobs")
        ),
        sa.PrimaryKeyConstraint("job_id", "epoch", name=op.f("pk_training_epochs")),
    )

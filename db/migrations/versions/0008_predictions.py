"""predictions: what a model saw in images."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    op.create_table(
        "predictions",
        sa.Column("job_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("imgsz", sa.Integer(), nullable=False),
        sa.Column("conf", sa.Double(), nullable=False),
        sa.Column("iou", sa.Double(), nullable=False),
        sa.Column("max_det", sa.Integer(), nullable=False),
        sa.Column("classes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("unreadable", sa.Integer(), nullable=False),
        sa.Column("limited", sa.Integer(), nullable=False),
        sa.Column("detections", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("annotated", sa.Text(), nullable=True),
        sa.CheckConstraint("unreadable < images", name=op.f("ck_predictions_something_was_read")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_predictions_job_id_jobs")),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_predictions_model_id_models")
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_predictions")),
    )
    op.create_index(op.f("ix_predictions_model_id"), "predictions", ["model_id"])
    op.create_table(
        "prediction_images",
        sa.Column("job_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("detections", sa.Integer(), nullable=False),
        sa.Column("limited", sa.Boolean(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(problem IS NULL) = (width IS NOT NULL) AND (problem IS NULL) = (height IS NOT NULL)",
            name=op.f("ck_prediction_images_read_or_not"),
        ),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["predictions.job_id"],
            name=op.f("fk_prediction_images_job_id_predictions"),
        ),
        sa.PrimaryKeyConstraint("job_id", "number", name=op.f("pk_prediction_images")),
    )
    op.create_table(
        "detections",
        sa.Column("job_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("image_number", sa.Integer(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.Double(), nullable=False)
            for name in ("confidence", "x1", "y1", "x2", "y2")
        ),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("ck_detections_confidence")),
        sa.ForeignKeyConstraint(
            ["job_id", "image_number"],
            ["prediction_images.job_id", "prediction_images.number"],
            name=op.f("fk_detections_job_id_image_number_prediction_images"),
        ),
        sa.PrimaryKeyConstraint("job_id", "number", name=op.f("pk_detections")),
    )

"""the spine: jobs, models, videos, tracks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import db.dialect

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("superseded", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("children_left", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("free_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", db.dialect.UtcDateTime(timezone=True), nullable=True),
        sa.Column("rung_at", db.dialect.UtcDateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", db.dialect.UtcDateTime(timezone=True), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("progress_done", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("progress_total", sa.Double(), nullable=True),
        sa.Column("progress_unit", sa.Text(), nullable=True),
        sa.Column("progress_note", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", db.dialect.UtcDateTime(timezone=True), nullable=False),
        sa.Column("started_at", db.dialect.UtcDateTime(timezone=True), nullable=True),
        sa.Column("progress_at", db.dialect.UtcDateTime(timezone=True), nullable=True),
        sa.Column("ended_at", db.dialect.UtcDateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'running') = (lease_token IS NOT NULL) AND (state = 'running') = (lease_expires_at IS NOT NULL)",
            name=op.f("ck_jobs_lease_while_running"),
        ),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled')) = (ended_at IS NOT NULL)",
            name=op.f("ck_jobs_ended_when_over"),
        ),
        sa.CheckConstraint(
            "state <> 'failed' OR error IS NOT NULL", name=op.f("ck_jobs_failed_says_why")
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'queued', 'running', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_jobs_state"),
        ),
        sa.CheckConstraint("children_left >= 0", name=op.f("ck_jobs_children_left")),
        sa.CheckConstraint(
            "free_attempts BETWEEN 0 AND attempt", name=op.f("ck_jobs_free_attempts")
        ),
        sa.ForeignKeyConstraint(["parent_id"], ["jobs.id"], name=op.f("fk_jobs_parent_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index("ix_jobs_parent_id", ["parent_id"], unique=False)
        batch_op.create_index(
            "ix_jobs_state_queue", ["state", "queue", "priority", "id"], unique=False
        )
        batch_op.create_index(
            "uq_jobs_live_fingerprint",
            ["fingerprint"],
            unique=True,
            postgresql_where=sa.text(
                "state IN ('waiting', 'queued', 'running', 'succeeded') AND NOT superseded"
            ),
            sqlite_where=sa.text(
                "state IN ('waiting', 'queued', 'running', 'succeeded') AND NOT superseded"
            ),
        )

    op.create_table(
        "videos",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("fps", sa.Double(), nullable=False),
        sa.Column("frames_decoded", sa.Integer(), nullable=False),
        sa.Column("frames_claimed", sa.Integer(), nullable=True),
        sa.Column("frames_missing", sa.Integer(), nullable=False),
        sa.Column("duration_s", sa.Double(), nullable=False),
        sa.Column("codec", sa.Text(), nullable=False),
        sa.Column("damage", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_videos")),
        sa.UniqueConstraint("sha256", name=op.f("uq_videos_sha256")),
    )
    op.create_table(
        "job_attempts",
        sa.Column("job_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("started_at", db.dialect.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", db.dialect.UtcDateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("traceback", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('succeeded', 'failed', 'lost', 'handed back', 'split', 'cancelled')",
            name=op.f("ck_job_attempts_outcome"),
        ),
        sa.CheckConstraint(
            "(outcome IS NULL) = (ended_at IS NULL)",
            name=op.f("ck_job_attempts_outcome_when_ended"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_attempts_job_id_jobs")),
        sa.PrimaryKeyConstraint("job_id", "attempt", name=op.f("pk_job_attempts")),
    )
    op.create_table(
        "job_files",
        sa.Column("job_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_files_job_id_jobs")),
        sa.PrimaryKeyConstraint("job_id", "name", name=op.f("pk_job_files")),
    )
    op.create_table(
        "models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("architecture", sa.Text(), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("added_at", db.dialect.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_models_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("name", name=op.f("uq_models_name")),
        sa.UniqueConstraint("sha256", name=op.f("uq_models_sha256")),
    )
    op.create_table(
        "model_classes",
        sa.Column("model_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("class_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_model_classes_model_id_models")
        ),
        sa.PrimaryKeyConstraint("model_id", "class_id", name=op.f("pk_model_classes")),
    )
    op.create_table(
        "trackings",
        sa.Column("job_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("video_id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("frames_processed", sa.Integer(), nullable=False),
        sa.Column("frames_inferred", sa.Integer(), nullable=False),
        sa.Column("detections", sa.BigInteger(), nullable=False),
        sa.Column("degenerate_boxes", sa.Integer(), nullable=False),
        sa.Column("limited_frames", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_trackings_job_id_jobs")),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_trackings_model_id_models")
        ),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.id"], name=op.f("fk_trackings_video_id_videos")
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_trackings")),
    )
    with op.batch_alter_table("trackings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_trackings_model_id"), ["model_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_trackings_video_id"), ["video_id"], unique=False)

    op.create_table(
        "detection_sets",
        sa.Column("job_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("frames_inferred", sa.Integer(), nullable=False),
        sa.Column("detections", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_detection_sets_job_id_jobs")
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_detection_sets")),
    )
    op.create_table(
        "class_counts",
        sa.Column("job_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("tracks", sa.Integer(), nullable=False),
        sa.Column("detections", sa.BigInteger(), nullable=False),
        sa.Column("peak_simultaneous", sa.Integer(), nullable=False),
        sa.Column("mean_visible", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "mean_visible BETWEEN 0 AND peak_simultaneous", name=op.f("ck_class_counts_mean")
        ),
        sa.CheckConstraint(
            "peak_simultaneous BETWEEN 1 AND tracks", name=op.f("ck_class_counts_peak")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["trackings.job_id"], name=op.f("fk_class_counts_job_id_trackings")
        ),
        sa.PrimaryKeyConstraint("job_id", "class", name=op.f("pk_class_counts")),
    )
    op.create_table(
        "tracks",
        sa.Column("job_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("track", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("class_votes", sa.JSON(), nullable=False),
        sa.Column("first_frame", sa.Integer(), nullable=False),
        sa.Column("last_frame", sa.Integer(), nullable=False),
        sa.Column("first_s", sa.Double(), nullable=False),
        sa.Column("last_s", sa.Double(), nullable=False),
        sa.Column("detections", sa.Integer(), nullable=False),
        sa.Column("mean_confidence", sa.Double(), nullable=False),
        sa.CheckConstraint("detections >= 1", name=op.f("ck_tracks_detections")),
        sa.CheckConstraint(
            "first_frame >= 0 AND last_frame >= first_frame", name=op.f("ck_tracks_frames")
        ),
        sa.CheckConstraint("last_s >= first_s", name=op.f("ck_tracks_seconds")),
        sa.CheckConstraint("mean_confidence BETWEEN 0 AND 1", name=op.f("ck_tracks_confidence")),
        sa.CheckConstraint("track >= 1", name=op.f("ck_tracks_numbered_from_1")),
        sa.ForeignKeyConstraint(
            ["job_id"], ["trackings.job_id"], name=op.f("fk_tracks_job_id_trackings")
        ),
        sa.PrimaryKeyConstraint("job_id", "track", name=op.f("pk_tracks")),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("tracks")
    op.drop_table("class_counts")
    op.drop_table("detection_sets")
    with op.batch_alter_table("trackings", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_trackings_video_id"))
        batch_op.drop_index(batch_op.f("ix_trackings_model_id"))

    op.drop_table("trackings")
    op.drop_table("model_classes")
    op.drop_table("models")
    op.drop_table("job_files")
    op.drop_table("job_attempts")
    op.drop_table("videos")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_jobs_live_fingerprint",
            postgresql_where=sa.text(
                "state IN ('waiting', 'queued', 'running', 'succeeded') AND NOT superseded"
            ),
            sqlite_where=sa.text(
                "state IN ('waiting', 'queued', 'running', 'succeeded') AND NOT superseded"
            ),
        )
        batch_op.drop_index("ix_jobs_state_queue")
        batch_op.drop_index("ix_jobs_parent_id")

    op.drop_table("jobs")

"""analysis: what models get wrong, at which confidence, and how they compare."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COUNTS = ("true_positives", "false_positives", "false_negatives")
_METRICS = ("precision", "recall", "f1", "map50", "map50_95")
_KINDS = "kind IN ('wrong class', 'poor localisation', 'both', 'duplicate', 'background', 'missed')"


def upgrade() -> None:
    """Bring the schema forward."""
    for name in _COUNTS:
        op.add_column("evaluations", sa.Column(name, sa.Integer(), nullable=True))
    for name in ("best_confidence", "false_positives_cost", "false_negatives_cost"):
        op.add_column("evaluations", sa.Column(name, sa.Double(), nullable=True))
    op.add_column("evaluation_classes", sa.Column("best_confidence", sa.Double(), nullable=True))
    _analysis_tables()
    _comparisons()
    _comparison_models()
    _of_compared_model(
        "comparison_classes",
        ["class"],
        _text("class"),
        *_whole("images", "instances"),
        *_real(*_METRICS, "best_confidence", nullable=True),
        sa.CheckConstraint(
            "(instances = 0) = (map50 IS NULL)", name=op.f("ck_comparison_classes_measured")
        ),
    )
    _of_compared_model(
        "comparison_errors",
        ["kind"],
        _text("kind"),
        *_whole("count"),
        *_real("map50_cost"),
        sa.CheckConstraint(_KINDS, name=op.f("ck_comparison_errors_kind")),
    )


def _analysis_tables() -> None:
    _of_evaluation(
        "evaluation_errors",
        ["kind"],
        _text("kind"),
        *_whole("count"),
        *_real("map50_cost"),
        sa.CheckConstraint(_KINDS, name=op.f("ck_evaluation_errors_kind")),
    )
    _of_evaluation(
        "evaluation_confusion",
        ["number"],
        *_whole("number", autoincrement=False),
        _text("true_class", nullable=True),
        _text("predicted_class", nullable=True),
        *_whole("count"),
    )
    _of_evaluation(
        "evaluation_misses",
        ["class", "size"],
        _text("class"),
        _text("size"),
        *_whole("instances", "found", "missed"),
        sa.CheckConstraint(
            "size IN ('small', 'medium', 'large')", name=op.f("ck_evaluation_misses_size")
        ),
    )
    _of_evaluation(
        "evaluation_sweep",
        ["position", "confidence"],
        *_whole("position", autoincrement=False),
        sa.Column("confidence", sa.Double(), autoincrement=False, nullable=False),
        _text("class", nullable=True),
        *_real("precision", "recall", "f1"),
    )


def _comparisons() -> None:
    op.create_table(
        "comparisons",
        *_whole("job_id", autoincrement=False),
        *_whole("dataset_id", "imgsz", "batch", "max_det", "images", "instances"),
        *_real("conf", "iou", "match_iou"),
        *_real("at", nullable=True),
        _text("split"),
        _text("device"),
        sa.Column("classes", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_comparisons_job_id_jobs")),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_comparisons_dataset_id_datasets")
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_comparisons")),
    )
    op.create_index(op.f("ix_comparisons_dataset_id"), "comparisons", ["dataset_id"])


def _comparison_models() -> None:
    intervals = [
        f"{metric}_{what}" for metric in _METRICS[3:] for what in ("difference", "low", "high")
    ]
    confidences = ("best_confidence", "counted_at")
    counted = ("counted_precision", "counted_recall", "counted_f1")
    cost = ("gflops", "preprocess_ms", "inference_ms", "postprocess_ms")
    op.create_table(
        "comparison_models",
        *_whole("job_id", "position", autoincrement=False),
        *_whole("model_id", *_COUNTS),
        sa.Column("left_out", sa.JSON(), nullable=False),
        *_real(*_METRICS, *confidences, *counted, *cost),
        *_real(*intervals, nullable=True),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("size_bytes", "parameters")
        ),
        sa.CheckConstraint(
            "(position = 0) = (map50_difference IS NULL)",
            name=op.f("ck_comparison_models_compared_with_the_base"),
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["comparisons.job_id"], name=op.f("fk_comparison_models_job_id_comparisons")
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_comparison_models_model_id_models")
        ),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_comparison_models")),
    )
    op.create_index(op.f("ix_comparison_models_model_id"), "comparison_models", ["model_id"])


def _of_evaluation(name: str, key: list[str], *items: SchemaItem) -> None:
    op.create_table(
        name,
        *_whole("job_id", autoincrement=False),
        *items,
        sa.ForeignKeyConstraint(
            ["job_id"], ["evaluations.job_id"], name=op.f(f"fk_{name}_job_id_evaluations")
        ),
        sa.PrimaryKeyConstraint("job_id", *key, name=op.f(f"pk_{name}")),
    )


def _of_compared_model(name: str, key: list[str], *items: SchemaItem) -> None:
    op.create_table(
        name,
        *_whole("job_id", "position", autoincrement=False),
        *items,
        sa.ForeignKeyConstraint(
            ["job_id", "position"],
            ["comparison_models.job_id", "comparison_models.position"],
            name=op.f(f"fk_{name}_job_id_position_comparison_models"),
        ),
        sa.PrimaryKeyConstraint("job_id", "position", *key, name=op.f(f"pk_{name}")),
    )


def _text(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _whole(*names: str, **options: Any) -> Iterable[sa.Column[int]]:
    return [sa.Column(name, sa.Integer(), nullable=False, **options) for name in names]


def _real(*names: str, nullable: bool = False) -> Iterable[sa.Column[float]]:
    return [sa.Column(name, sa.Double(), nullable=nullable) for name in names]

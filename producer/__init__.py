"""Describes jobs, records them, rings the bell; what notebooks and Airflow call.

    from producer import report, track, wait

    [enqueued] = track(["aisle-4.mp4"], model="coco", classes=["bottle"])
    wait([enqueued.job.id])
    print(report("counts", enqueued.job.id).rows)

The names are loaded when they are first used, so that the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from producer.ancestry import lineage
    from producer.comparing import compare, comparison
    from producer.dataset_checks import check_dataset, dataset, datasets
    from producer.enqueue import Enqueued
    from producer.evaluating import evaluate, evaluation, operating_point, operating_point_of
    from producer.follow import wait, watch
    from producer.job_control import cancel, job, jobs, retry
    from producer.predicting import predict, prediction
    from producer.promotion import (
        last_stage_change,
        promote,
        promote_if_better,
        retire,
        stage_changes,
    )
    from producer.registry import add_model, model, models
    from producer.reporting import report
    from producer.tracking import track
    from producer.trainings import train, training

__all__ = [
    "Enqueued",
    "add_model",
    "cancel",
    "check_dataset",
    "compare",
    "comparison",
    "dataset",
    "datasets",
    "evaluate",
    "evaluation",
    "job",
    "jobs",
    "last_stage_change",
    "lineage",
    "model",
    "models",
    "operating_point",
    "operating_point_of",
    "predict",
    "prediction",
    "promote",
    "promote_if_better",
    "report",
    "retire",
    "retry",
    "stage_changes",
    "track",
    "train",
    "training",
    "wait",
    "watch",
]

# No module may have the name of a function here: importing it would take the function's place.
_HOME = {
    "Enqueued": "producer.enqueue",
    "add_model": "producer.registry",
    "cancel": "producer.job_control",
    "check_dataset": "producer.dataset_checks",
    "compare": "producer.comparing",
    "comparison": "producer.comparing",
    "dataset": "producer.dataset_checks",
    "datasets": "producer.dataset_checks",
    "evaluate": "producer.evaluating",
    "evaluation": "producer.evaluating",
    "job": "producer.job_control",
    "jobs": "producer.job_control",
    "last_stage_change": "producer.promotion",
    "lineage": "producer.ancestry",
    "model": "producer.registry",
    "models": "producer.registry",
    "operating_point": "producer.evaluating",
    "operating_point_of": "producer.evaluating",
    "predict": "producer.predicting",
    "prediction": "producer.predicting",
    "promote": "producer.promotion",
    "promote_if_better": "producer.promotion",
    "report": "producer.reporting",
    "retire": "producer.promotion",
    "retry": "producer.job_control",
    "stage_changes": "producer.promotion",
    "track": "producer.tracking",
    "train": "producer.trainings",
    "training": "producer.trainings",
    "wait": "producer.follow",
    "watch": "producer.follow",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)

"""The confidence that a model's last evaluation chose, for tracking; on SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, case, update

import producer
from db.errors import UsageError
from db.evaluation_tables import EvaluationSweepRow
from db.layout import model_address
from db.settings import Settings
from tests.measured import Measured


@pytest.fixture
def measured(configured: Settings, database: Engine) -> Measured:
    """Registered models, their files in place."""
    made = Measured(database)
    for _, content in made.models:
        kept = configured.home / model_address(content)
        kept.parent.mkdir(parents=True)
        kept.write_text("weights")
    return made


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "aisle.mp4"
    path.write_text("frames")
    return path


def evaluated(
    database: Engine,
    measured: Measured,
    model: int,
    best: float,
    imgsz: int = 640,
    split: str = "val",
) -> None:
    """An evaluation: precision is 0.5 below a confidence of 0.6, and 0.8 from there on."""
    job_id = measured.evaluation(model, 0, split, best_confidence=best, imgsz=imgsz)
    sweep = EvaluationSweepRow
    with database.begin() as tx:
        tx.execute(
            update(sweep)
            .where(sweep.job_id == job_id)
            .values(precision=case((sweep.confidence < 0.6, 0.5), else_=0.8), recall=0.9)
        )


def asked_conf(video: Path, model: str, precision: float | None = None) -> float:
    [asked] = producer.track([video], model, conf="auto", precision=precision)
    return float(asked.job.spec["conf"])


def test_auto_is_the_confidence_of_the_highest_f1_in_the_newest_evaluation_of_that_model(
    database: Engine, measured: Measured, video: Path
) -> None:
    evaluated(database, measured, 0, best=0.31)
    evaluated(database, measured, 0, best=0.43)
    evaluated(database, measured, 1, best=0.77)
    assert asked_conf(video, "fruit") == 0.43
    assert asked_conf(video, "coco@1") == 0.77


def test_auto_prefers_an_evaluation_at_the_size_that_is_tracked_at(
    database: Engine, measured: Measured, video: Path
) -> None:
    evaluated(database, measured, 0, best=0.31, imgsz=640)
    evaluated(database, measured, 0, best=0.43, imgsz=416)
    assert asked_conf(video, "fruit") == 0.31
    [asked] = producer.track([video], "fruit", conf="auto", imgsz=416)
    assert asked.job.spec["conf"] == 0.43


def test_auto_prefers_what_the_model_was_not_trained_on(
    database: Engine, measured: Measured, video: Path
) -> None:
    evaluated(database, measured, 0, best=0.31, imgsz=416)
    evaluated(database, measured, 0, best=0.9, split="train")
    assert asked_conf(video, "fruit") == 0.31


def test_a_precision_takes_the_lowest_confidence_that_reaches_it(
    database: Engine, measured: Measured, video: Path
) -> None:
    evaluated(database, measured, 0, best=0.31)
    assert asked_conf(video, "fruit", precision=0.75) == 0.6


def test_a_class_of_which_no_box_is_left_is_not_taken_for_perfect(
    database: Engine, measured: Measured, video: Path
) -> None:
    job_id = measured.evaluation(0, 0)
    sweep = EvaluationSweepRow
    left = case((sweep.position < 2, 0.5), else_=1.0)
    with database.begin() as tx:
        of_job = update(sweep).where(sweep.job_id == job_id)
        tx.execute(of_job.values(precision=left, recall=case((sweep.position < 2, 0.1), else_=0)))
        tx.execute(of_job.where(sweep.position == 0).values(precision=0.9))  # as Ultralytics has it
    with pytest.raises(UsageError, match=r"precision 0.6 is never reached .* highest is 0.500"):
        asked_conf(video, "fruit", precision=0.6)
    assert asked_conf(video, "fruit", precision=0.5) == 0


def test_what_chooses_no_confidence_is_refused_and_nothing_is_enqueued(
    database: Engine, measured: Measured, video: Path
) -> None:
    evaluated(database, measured, 0, best=0.31)
    before = len(producer.jobs())
    with pytest.raises(
        UsageError, match=r"coco@1 was not evaluated yet.*nightshelf evaluate coco@1"
    ):
        producer.track([video], "coco", conf="auto")
    with pytest.raises(UsageError, match=r"precision 0.95 is never reached .* highest is 0.800"):
        producer.track([video], "fruit", conf="auto", precision=0.95)
    with pytest.raises(UsageError, match="a precision chooses the confidence: give it with `auto`"):
        producer.track([video], "fruit", conf=0.3, precision=0.9)
    assert len(producer.jobs()) == before

"""Rows of trainings, evaluations, comparisons and predictions, made up, for reports to read."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Boolean, Connection, Engine, Float, Integer, insert
from sqlalchemy import Text as TextColumn

from db import jobs
from db.comparison_tables import (
    ComparisonErrorRow,
    ComparisonModelRow,
    ComparisonRow,
)
from db.dataset_results import known_dataset
from db.dialect import UtcDateTime
from db.error_kinds import BoxSize, ErrorKind
from db.evaluation_tables import (
    EvaluationClassRow,
    EvaluationConfusionRow,
    EvaluationErrorRow,
    EvaluationMissRow,
    EvaluationRow,
    EvaluationSweepRow,
)
from db.prediction_tables import DetectionRow, PredictionImageRow, PredictionRow
from db.specs import CompareSpec, EvaluateSpec, PredictSpec, Spec, TrainSpec
from db.training_tables import TrainingEpochRow, TrainingRow
from tests.recorded import claimed, register_model, sha256

CLASSES = ("apple", "banana", "grape")
SPLITS = ("train", "val", "test")
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def write_row(tx: Connection, table: Any, dice: random.Random, **values: Any) -> None:
    """A row with these values, and any in its other columns."""
    row = {
        column.name: values[column.name] if column.name in values else _any(column, dice)
        for column in table.__table__.columns
    }
    tx.execute(insert(table.__table__).values(row))


def _any(column: Any, dice: random.Random) -> Any:
    match column.type:
        case Boolean():
            return dice.random() < 0.5
        case Integer():
            return dice.randint(1, 500)
        case Float():
            return dice.random()
        case UtcDateTime():
            return _BEGIN + timedelta(seconds=dice.randint(0, 10**7))
        case JSON():
            return [dice.random() for _ in range(3)]
        case TextColumn():
            return f"text {dice.randint(0, 9)}"
    raise TypeError(column)


class Measured:
    """Models and data sets in a database, and jobs about them.

    Attributes:
        models: id and sha256 of each.
        datasets: id and sha256 of each; two have the same name.
    """

    def __init__(self, database: Engine, seed: int = 0) -> None:
        self._database = database
        self._dice = random.Random(seed)
        self._asked = 0
        names = ("fruit", "coco", "shelf")
        contents = [register_model(database, name, CLASSES) for name in names]
        self.models = list(enumerate(contents, start=1))
        self.datasets: list[tuple[int, str]] = []
        with database.begin() as tx:
            for name, version in (("fruit", 1), ("fruit", 2), ("aisle", 1)):
                content = sha256(f"{name} {version}")
                self.datasets.append((known_dataset(tx, content, name, f"/{name}.yaml"), content))

    def evaluation(self, model: int, dataset: int, split: str = "val", **values: Any) -> int:
        """An evaluation of the model and on the data set at these places; returns its job."""
        model_id, content = self.models[model]
        dataset_id, data = self.datasets[dataset]
        spec = EvaluateSpec(
            model="m", model_sha256=content, name="d", data="/d.yaml", dataset_sha256=data
        )
        dice = self._dice
        with self._database.begin() as tx:
            job_id = self._job(tx, spec)
            known = {"job_id": job_id, "model_id": model_id, "dataset_id": dataset_id}
            write_row(tx, EvaluationRow, dice, **known, split=split, **values)
            for name in CLASSES:
                seen: dict[str, Any] = dict.fromkeys(
                    ("precision", "recall", "f1", "map50", "map50_95", "best_confidence")
                )
                if name == "grape":
                    seen |= {"instances": 0}
                write_row(
                    tx,
                    EvaluationClassRow,
                    dice,
                    **{"job_id": job_id, "class": name} | (seen if name == "grape" else {}),
                )
                for size in BoxSize:
                    instances = 0 if name == "grape" else dice.randint(3, 20)
                    counts = {"instances": instances, "found": 1, "missed": instances // 3}
                    write_row(
                        tx,
                        EvaluationMissRow,
                        dice,
                        **{"job_id": job_id, "class": name, "size": size} | counts,
                    )
            for kind in ErrorKind:
                write_row(tx, EvaluationErrorRow, dice, job_id=job_id, kind=kind)
            pairs = [(one, other) for one in (*CLASSES, None) for other in (*CLASSES, None)]
            for number, (true, seen_as) in enumerate(pairs[:-1]):
                write_row(
                    tx,
                    EvaluationConfusionRow,
                    dice,
                    job_id=job_id,
                    number=number,
                    true_class=true,
                    predicted_class=seen_as,
                )
            for position, swept in enumerate((None, *CLASSES)):
                for step in range(0, 101, 10):
                    where = {"job_id": job_id, "position": position, "class": swept}
                    write_row(tx, EvaluationSweepRow, dice, **where, confidence=step / 100)
        return job_id

    def comparison(self, dataset: int = 0) -> int:
        """A comparison of all models; returns its job."""
        spec = CompareSpec(
            models=("a", "b", "c"),
            model_sha256s=tuple(content for _, content in self.models),
            name="d",
            data="/d.yaml",
            dataset_sha256=self.datasets[dataset][1],
        )
        dice = self._dice
        with self._database.begin() as tx:
            job_id = self._job(tx, spec)
            dataset_id = self.datasets[dataset][0]
            write_row(tx, ComparisonRow, dice, job_id=job_id, dataset_id=dataset_id)
            for position, (model_id, _) in enumerate(self.models):
                where = {"job_id": job_id, "position": position}
                base = {} if position else {"map50_difference": None}
                write_row(tx, ComparisonModelRow, dice, **where, model_id=model_id, **base)
                for kind in ErrorKind:
                    write_row(tx, ComparisonErrorRow, dice, **where, kind=kind)
        return job_id

    def training(self, epochs: int, *, done: bool = True) -> int:
        """A training that made the last model; returns its job."""
        spec = TrainSpec(
            name="fruit",
            base="coco",
            base_sha256=self.models[1][1],
            dataset="d",
            data="/d.yaml",
            dataset_sha256=self.datasets[0][1],
        )
        dice = self._dice
        with self._database.begin() as tx:
            job_id = self._job(tx, spec, done=done)
            for epoch in range(1, epochs + 1):
                kept = {"checkpoint": None, "checkpoint_sha256": None, "best": epoch in (1, 3)}
                write_row(tx, TrainingEpochRow, dice, job_id=job_id, epoch=epoch, **kept)
            if done:
                write_row(
                    tx,
                    TrainingRow,
                    dice,
                    job_id=job_id,
                    model_id=self.models[2][0],
                    base_model_id=self.models[1][0],
                    dataset_id=self.datasets[0][0],
                    extends_job_id=None,
                )
        return job_id

    def prediction(self, images: int) -> int:
        """A prediction of images, of which the second could not be read; returns its job."""
        self._asked += 1
        spec = PredictSpec(
            sources=("/stills",),
            images_sha256=sha256(f"stills {self._asked}"),
            model="fruit@1",
            model_sha256=self.models[0][1],
        )
        dice = self._dice
        with self._database.begin() as tx:
            job_id = self._job(tx, spec)
            known = {"job_id": job_id, "model_id": self.models[0][0]}
            write_row(tx, PredictionRow, dice, **known, images=images, unreadable=1)
            number = 0
            for image in range(1, images + 1):
                where = {
                    "job_id": job_id,
                    "number": image,
                    "name": f"aisle {image % 3}/{image}.jpg",
                }
                size = {"width": None, "height": None, "problem": "no"} if image == 2 else {}
                write_row(tx, PredictionImageRow, dice, **where | {"problem": None} | size)
                for _ in range(0 if image == 2 else dice.randrange(6)):
                    number += 1
                    box = {"number": number, "image_number": image, "class": dice.choice(CLASSES)}
                    write_row(tx, DetectionRow, dice, job_id=job_id, **box)
        return job_id

    def _job(self, tx: Connection, spec: Spec, *, done: bool = True) -> int:
        lease = claimed(tx, spec, force=True)
        if done:
            jobs.finish(tx, lease)
        return lease.job.id

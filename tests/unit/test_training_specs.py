"""What can be asked of a training, and which asks are the same."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from db.job_creation import fingerprint
from db.specs import TrainSpec, spec_adapter

ASKED: dict[str, Any] = {
    "name": "fruit",
    "base": "yolov8n@1",
    "base_sha256": "a" * 64,
    "dataset": "fruit",
    "data": "/data/fruit/data.yaml",
    "dataset_sha256": "b" * 64,
}
EXTENDS = {"job_id": 7, "epochs": 30, "checkpoint": "jobs/7/attempt-1/last.pt", "sha256": "c" * 64}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"batch": 0}, "the batch must be a number from 1, or auto, not 0"),
        ({"batch": "large"}, "or auto, not large"),
        ({"batch": True}, "or auto, not True"),
        ({"imgsz": 100}, "multiple of 32"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"patience": -1}, "greater than or equal to 0"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"device": "gpu"}, "match pattern"),
        ({"name": "Fruit!"}, "match pattern"),
        ({"settings": {"lr": 1}}, "no setting 'lr'"),
        ({"settings": {"lr0": 7}}, "lr0 cannot be 7"),
        ({"architecture": "yolov8s.yaml"}, "begins with a model, or with an architecture"),
        ({"base_sha256": None}, "begins with a model, or with an architecture"),
        ({"base_sha256": None, "architecture": "yolo26n.yaml"}, "match pattern"),
        ({"epochs": 30, "extends": EXTENDS}, "epoch 30 was trained already"),
    ],
)
def test_what_cannot_be_trained_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TrainSpec(**ASKED | values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"batch": "auto", "device": "0,1"},
        {"settings": {"lr0": 0.001, "freeze": [0, 1], "cos_lr": True, "optimizer": "SGD"}},
        {"epochs": 40, "extends": EXTENDS},
        {"base_sha256": None, "architecture": "yolov8x-p6.yaml", "base": "yolov8x-p6.yaml"},
    ],
)
def test_a_spec_is_the_same_after_it_was_stored(values: dict[str, Any]) -> None:
    spec = TrainSpec(**ASKED | values)
    assert spec_adapter.validate_python(spec.model_dump(mode="json")) == spec


def test_the_same_content_under_other_names_is_the_same_training_and_other_settings_are_not() -> (
    None
):
    first = TrainSpec(**ASKED)
    moved = {"base": "coco@3", "data": "/elsewhere/data.yaml", "dataset": "fruits"}
    assert fingerprint(TrainSpec(**ASKED | moved)) == fingerprint(first)
    for other in ({"settings": {"lr0": 0.01}}, {"seed": 1}, {"name": "veg"}, {"epochs": 7}):
        assert fingerprint(TrainSpec(**ASKED | other)) != fingerprint(first)

"""What may be asked for: one frozen, validated model per job kind, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter

from db.comparison_specs import CompareSpec
from db.dataset_specs import CheckSpec
from db.model_specs import EvaluateSpec, RegisterSpec
from db.prediction_specs import PredictSpec
from db.spec import Priority, QueueClass, Sha256, Spec
from db.tracking_specs import DetectSpec, Segment, TrackerOptions, TrackSpec
from db.training_specs import TrainSpec

__all__ = [
    "AnySpec",
    "CheckSpec",
    "CompareSpec",
    "DetectSpec",
    "EvaluateSpec",
    "PredictSpec",
    "Priority",
    "QueueClass",
    "RegisterSpec",
    "Segment",
    "Sha256",
    "Spec",
    "TrackSpec",
    "TrackerOptions",
    "TrainSpec",
    "spec_adapter",
]

AnySpec = (
    TrackSpec
    | DetectSpec
    | RegisterSpec
    | CheckSpec
    | EvaluateSpec
    | CompareSpec
    | PredictSpec
    | TrainSpec
)
spec_adapter: TypeAdapter[AnySpec] = TypeAdapter(Annotated[AnySpec, Field(discriminator="kind")])

"""What may be asked for: one frozen, validated model per job kind, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter

from db.dataset_specs import CheckSpec
from db.model_specs import EvaluateSpec, RegisterSpec
from db.spec import Priority, QueueClass, Sha256, Spec
from db.tracking_specs import DetectSpec, Segment, TrackerOptions, TrackSpec

__all__ = [
    "AnySpec",
    "CheckSpec",
    "DetectSpec",
    "EvaluateSpec",
    "Priority",
    "QueueClass",
    "RegisterSpec",
    "Segment",
    "Sha256",
    "Spec",
    "TrackSpec",
    "TrackerOptions",
    "spec_adapter",
]

AnySpec = TrackSpec | DetectSpec | RegisterSpec | CheckSpec | EvaluateSpec
spec_adapter: TypeAdapter[AnySpec] = TypeAdapter(Annotated[AnySpec, Field(discriminator="kind")])

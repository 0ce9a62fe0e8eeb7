"""Whatever JSON a row or a pipe holds: a spec that means the same after the pipe, or a refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from db.errors import UsageError
from db.specs import (
    CheckSpec,
    CompareSpec,
    DetectSpec,
    EvaluateSpec,
    PredictSpec,
    RegisterSpec,
    Segment,
    Spec,
    TrackSpec,
    TrainSpec,
    spec_adapter,
)
from producer.enqueue import validated
from worker.wire import Advanced, Broke, Done, Halted, Run, Stop, from_runner, to_runner

# The same examples at every run: a test that fails now and then helps nobody.
bounded = settings(
    max_examples=200,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

TRACK = TrackSpec(
    video="/footage/aisle 4.mp4", video_sha256="a" * 64, model="coco", model_sha256="b" * 64
)
DATASET: dict[str, Any] = {
    "name": "shop",
    "data": "/shop/data.yaml",
    "dataset_sha256": "d" * 64,
}
SPECS: list[Spec] = [
    TRACK,
    DetectSpec(
        segment=Segment.whole(),
        conf_floor=0.1,
        **TRACK.model_dump(include=set(DetectSpec.model_fields) - {"kind"}),
    ),
    RegisterSpec(name="coco", weights="/w.pt", weights_sha256="c" * 64),
    CheckSpec(name="shop", data="/shop/data.yaml", dataset_sha256="d" * 64),
    EvaluateSpec(model="coco@1", model_sha256="b" * 64, **DATASET),
    CompareSpec(
        models=("coco@1", "shop@2"),
        model_sha256s=("b" * 64, "e" * 64),
        class_map={"apple": "Apple"},
        **DATASET,
    ),
    PredictSpec(
        sources=("/stills",), images_sha256="f" * 64, model="coco@1", model_sha256="b" * 64
    ),
    TrainSpec(
        name="shop",
        base="coco@1",
        base_sha256="b" * 64,
        dataset="shop",
        data="/shop/data.yaml",
        dataset_sha256="d" * 64,
        settings={"lr0": 0.001},
    ),
]
MESSAGES: list[BaseModel] = [
    Run(
        job_id=1,
        attempt=1,
        spec=TRACK,
        home="/home",
        folder="/home/jobs/1",
        roots=("/",),
        segment_s=600,
    ),
    Stop(),
    Advanced(done=1, total=2, unit="frames", note="detecting"),
    Done.model_validate(
        {
            "result": {
                "kind": "register",
                "task": "detect",
                "architecture": "yolov8n",
                "class_names": ["a"],
                "parameters": 1,
                "size_bytes": 1,
            }
        }
    ),
    Broke(error="no"),
    Halted(),
]

_plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    # What JSON can hold and UTF-8 cannot, and what no path can hold.
    st.sampled_from(["\ud800", "/\0", "/../..", "/" + "x" * 300, "http://x/y", 10**400, -1]),
)
anything = st.recursive(
    _plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def nearly(draw: st.DrawFn, values: list[dict[str, Any]]) -> Any:
    """One of the values, with some of it missing, added, or replaced by anything."""
    value = json.loads(json.dumps(draw(st.sampled_from(values))))
    for _ in range(draw(st.integers(1, 3))):
        inside = value
        while inside:
            key = draw(st.sampled_from(sorted(inside)))
            if not isinstance(inside[key], dict) or draw(st.booleans()):
                break
            inside = inside[key]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace" if inside:
                inside[key] = draw(anything)
            case "remove" if inside:
                del inside[key]
            case _:
                inside[draw(st.text(max_size=8))] = draw(anything)
    return value


@bounded
@given(anything | nearly([spec.model_dump(mode="json") for spec in SPECS]))
@example([])
@example(None)
def test_a_row_holds_a_spec_that_is_the_same_after_the_pipe_or_is_refused(value: Any) -> None:
    try:
        spec = spec_adapter.validate_python(value)
    except ValidationError:
        return
    assert spec_adapter.validate_json(spec.model_dump_json()) == spec
    assert isinstance(spec.label, str)


@bounded
@given(st.dictionaries(st.sampled_from(sorted(set(TrackSpec.model_fields) - {"kind"})), anything))
def test_what_is_asked_for_is_a_spec_or_refused_in_one_line(values: dict[str, Any]) -> None:
    asked = TRACK.model_dump(exclude={"kind"}) | values
    try:
        said = validated(TrackSpec, **asked).label
    except UsageError as refusal:
        said = str(refusal)
    assert "\n" not in said


@pytest.mark.parametrize("listener", [to_runner, from_runner], ids=["runner", "worker"])
def test_the_pipe_carries_messages_and_refuses_all_else(listener: Any) -> None:
    said = [message.model_dump(mode="json") for message in MESSAGES]

    @bounded
    @given(
        st.binary(max_size=40)
        | st.text(max_size=40)
        | (anything | nearly(said)).map(lambda value: json.dumps(value))
    )
    def listen(line: str | bytes) -> None:
        try:
            message = listener.validate_json(line)
        except ValidationError:
            return
        again = message.model_dump_json()
        assert "\n" not in again
        assert listener.validate_json(again) == message

    listen()

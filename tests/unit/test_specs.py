"""What may be asked for, and what makes two requests the same."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from db.job_creation import fingerprint
from db.specs import RegisterSpec, TrackerOptions, TrackSpec, spec_adapter

ASKED: dict[str, Any] = {
    "video": "/footage/aisle-4.mp4",
    "video_sha256": "a" * 64,
    "model": "coco",
    "model_sha256": "b" * 64,
}
REGISTERED: dict[str, Any] = {"name": "coco", "weights": "/w.pt", "weights_sha256": "c" * 64}

OTHER: dict[str, Any] = {
    "video": "/footage/moved/aisle-4.mp4",
    "video_sha256": "d" * 64,
    "model": "coco-again",
    "model_sha256": "e" * 64,
    "conf": 0.3,
    "iou": 0.6,
    "imgsz": 320,
    "classes": ("bottle",),
    "stride": 2,
    "device": "cuda:0",
    "annotate": True,
}
OTHER_TRACKER: dict[str, Any] = {
    "distance_function": "euclidean",
    "distance_threshold": 0.5,
    "hit_counter_max": 31,
    "initialization_delay": 3,
}


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"conf": 1.5}, "less than or equal to 1"),
        ({"conf": -0.1}, "greater than or equal to 0"),
        ({"conf": float("nan")}, "finite"),
        ({"conf": float("inf")}, "finite"),
        ({"iou": 0.0}, "greater than 0"),
        ({"iou": 1.1}, "less than or equal to 1"),
        ({"iou": float("nan")}, "finite"),
        ({"imgsz": 100}, "multiple of 32"),
        ({"imgsz": 0}, "greater than or equal to 32"),
        ({"imgsz": 8192}, "less than or equal to 4096"),
        ({"stride": 0}, "greater than or equal to 1"),
        ({"stride": 1.5}, "valid integer"),
        ({"stride": 31}, "with a stride of 31, hit_counter_max must be at least 31, not 30"),
        ({"classes": ()}, "at least 1 item"),
        ({"video": "aisle-4.mp4"}, "must be absolute"),
        ({"video_sha256": "a" * 63}, "match pattern"),
        ({"model_sha256": "A" * 64}, "match pattern"),
        ({"confidence": 0.5}, "Extra inputs are not permitted"),
        ({"tracker": {"distance_function": "cosine"}}, "'iou' or 'euclidean'"),
        ({"tracker": {"patience": 3}}, "Extra inputs are not permitted"),
    ],
)
def test_a_track_spec_that_cannot_be_is_refused(value: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        TrackSpec(**ASKED | value)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"initialization_delay": 30, "hit_counter_max": 30}, "must be less than hit_counter_max"),
        ({"initialization_delay": 31, "hit_counter_max": 30}, "must be less than hit_counter_max"),
        ({"distance_threshold": 1.01}, "an iou distance is at most 1"),
        ({"distance_threshold": 0}, "greater than 0"),
        ({"distance_threshold": float("nan")}, "finite"),
        ({"hit_counter_max": 0}, "greater than or equal to 1"),
        ({"initialization_delay": -1}, "greater than or equal to 0"),
    ],
)
def test_tracker_options_under_which_no_track_could_be_are_refused(
    value: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        TrackerOptions(**value)


def test_a_euclidean_threshold_is_in_pixels_and_may_exceed_1() -> None:
    options = TrackerOptions(distance_function="euclidean", distance_threshold=80)
    assert options.distance_threshold == 80


@pytest.mark.parametrize("name", ["", "COCO", "a b", "../a", "a/b", "-a", "a" * 65, "ä"])
def test_a_model_name_that_could_not_be_typed_or_be_a_file_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        RegisterSpec(**REGISTERED | {"name": name})


def test_weights_have_an_absolute_path() -> None:
    with pytest.raises(ValidationError, match="must be absolute"):
        RegisterSpec(**REGISTERED | {"weights": "w.pt"})


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrackSpec(**ASKED).conf = 0.9  # type: ignore[misc]


@pytest.mark.parametrize("spec", [TrackSpec(**ASKED | OTHER), RegisterSpec(**REGISTERED)])
def test_a_spec_that_was_stored_reads_as_it_was(spec: TrackSpec | RegisterSpec) -> None:
    assert spec_adapter.validate_python(spec.model_dump(mode="json")) == spec


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValidationError, match="does not match any of the expected tags"):
        spec_adapter.validate_python(ASKED | {"kind": "guess"})


def test_every_field_of_a_track_spec_is_varied_below() -> None:
    assert set(OTHER) == set(TrackSpec.model_fields) - {"kind", "tracker"}
    assert set(OTHER_TRACKER) == set(TrackerOptions.model_fields)


@pytest.mark.parametrize("field", sorted(set(OTHER) - TrackSpec.addresses))
def test_another_value_of_any_field_is_another_request(field: str) -> None:
    varied = TrackSpec(**ASKED | {field: OTHER[field]})
    assert getattr(varied, field) != getattr(TrackSpec(**ASKED), field)
    assert fingerprint(varied) != fingerprint(TrackSpec(**ASKED))


@pytest.mark.parametrize("field", sorted(OTHER_TRACKER))
def test_another_value_of_any_tracker_option_is_another_request(field: str) -> None:
    varied = TrackSpec(**ASKED, tracker={field: OTHER_TRACKER[field]})
    assert getattr(varied.tracker, field) != getattr(TrackerOptions(), field)
    assert fingerprint(varied) != fingerprint(TrackSpec(**ASKED))


def test_only_the_places_of_video_and_model_do_not_count() -> None:
    assert TrackSpec.addresses == {"video", "model"}
    assert RegisterSpec.addresses == {"weights"}


@pytest.mark.parametrize("field", sorted(TrackSpec.addresses))
def test_the_same_content_under_another_address_is_the_same_request(field: str) -> None:
    moved = TrackSpec(**ASKED | {field: OTHER[field]})
    assert fingerprint(moved) == fingerprint(TrackSpec(**ASKED))


def test_a_value_that_is_given_as_the_default_is_the_same_request() -> None:
    spelled_out = TrackSpec(**ASKED, conf=0.25, imgsz=640, tracker=TrackerOptions())
    assert fingerprint(spelled_out) == fingerprint(TrackSpec(**ASKED))


def test_two_kinds_never_share_a_fingerprint() -> None:
    kinds = {fingerprint(TrackSpec(**ASKED)), fingerprint(RegisterSpec(**REGISTERED))}
    assert len(kinds) == 2


def test_a_label_names_the_file_and_the_model() -> None:
    assert TrackSpec(**ASKED).label == "aisle-4.mp4 · coco"
    assert RegisterSpec(**REGISTERED).label == "w.pt as coco"

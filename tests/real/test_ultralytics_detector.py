from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from db.errors import UsageError
from db.results import VideoFacts
from tests.quiet import quiet_ultralytics
from worker.checkpoint import inspect
from worker.detection.detections import Detections
from worker.detection.detector import Seen
from worker.detection.key import DetectionKey, floor_for
from worker.detection.store import DetectionStore
from worker.video import VideoReader

Image = NDArray[np.uint8]


@pytest.fixture(autouse=True, scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quiet_ultralytics(tmp_path_factory.mktemp("home")):
        from ultralytics.utils.torch_utils import select_device

        # Predict takes one processor less than there are, and the number of threads changes the
        # last digits of a convolution: both sides must have the same.
        select_device("cpu", verbose=False)
        yield


@pytest.fixture(scope="module")
def weights(shared: Path) -> Path:
    return shared / "weights" / "yolov8n.pt"


@pytest.fixture(scope="module")
def shelf(shared: Path) -> list[Image]:
    """Twelve frames with bottles and hands."""
    with VideoReader(shared / "data" / "shelf-bottles.mp4", stride=100) as video:
        return [frame.image for frame in video]


def detector(weights: Path, **options: Any) -> Any:
    from worker.detection.ultralytics_yolo import UltralyticsYolo

    return UltralyticsYolo(weights, **options)


def predicted(weights: Path, images: list[Image], **options: Any) -> list[Seen]:
    """What Ultralytics itself says."""
    from ultralytics import YOLO

    results = YOLO(weights).predict(images, verbose=False, **options)
    return [
        Seen(
            result.boxes.xyxy.numpy(),
            result.boxes.conf.numpy(),
            result.boxes.cls.numpy().astype(np.int32),
            limited=False,
        )
        for result in results
    ]


def assert_same(found: list[Seen], expected: list[Seen]) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        for column in ("xyxy", "confidence", "class_id"):
            assert getattr(mine, column).dtype == getattr(theirs, column).dtype
            np.testing.assert_array_equal(getattr(mine, column), getattr(theirs, column))


@pytest.mark.parametrize(
    "options",
    [
        {"conf": 0.1, "iou": 0.7, "imgsz": 640, "max_det": 1000},
        {"conf": 0.25, "iou": 0.3, "imgsz": 416, "max_det": 1000},
        {"conf": 0.01, "iou": 0.9, "imgsz": 320, "max_det": 5},
    ],
)
def test_detections_equal_those_of_predict(weights, shelf, options):
    ours = detector(weights, device="cpu", **options)
    found = [seen for image in shelf for seen in ours.detect([image])]
    expected = [p for image in shelf for p in predicted(weights, [image], device="cpu", **options)]
    assert sum(len(seen.confidence) for seen in found) > len(shelf)
    assert_same(found, expected)


def test_a_batch_equals_a_batch_of_predict(weights, shelf):
    options = {"conf": 0.1, "iou": 0.7, "imgsz": 640, "max_det": 1000}
    assert_same(
        detector(weights, **options).detect(shelf[:4]), predicted(weights, shelf[:4], **options)
    )


def test_images_of_any_shape_are_boxed_in_their_own_pixels(shared):
    weights = shared / "weights" / "fruit-yolov8n.pt"
    paths = sorted((shared / "data" / "fruit" / "images" / "val").glob("*.jpg"))[:8]
    options = {"conf": 0.25, "iou": 0.7, "imgsz": 416, "max_det": 1000}
    ours = detector(weights, **options)
    images = [cv2.imread(str(path)) for path in paths]
    assert len({image.shape for image in images}) > 1
    found = [seen for image in images for seen in ours.detect([image])]
    assert_same(found, [p for image in images for p in predicted(weights, [image], **options)])
    for image, seen in zip(images, found, strict=True):
        height, width = image.shape[:2]
        assert (seen.xyxy >= 0).all()
        assert (seen.xyxy <= [width, height, width, height]).all()


def test_a_frame_with_more_boxes_than_allowed_says_so(weights, shelf):
    (everything,) = detector(weights).detect(shelf[:1])
    assert not everything.limited
    (one_less,) = detector(weights, max_det=len(everything.confidence) - 1).detect(shelf[:1])
    assert one_less.limited
    np.testing.assert_array_equal(one_less.confidence, everything.confidence[:-1])


def test_a_frame_with_just_as_many_boxes_as_allowed_is_not_limited(weights, shelf):
    (everything,) = detector(weights).detect(shelf[:1])
    (seen,) = detector(weights, max_det=len(everything.confidence)).detect(shelf[:1])
    assert not seen.limited
    assert_same([seen], [everything])


def test_more_candidates_than_nms_takes_are_noticed(weights, shelf):
    # At 1600 pixels this frame has 31500 places for a box, and each is above 0.
    crowded = detector(weights, conf=0.0, imgsz=1600, max_det=31_500)
    (seen,) = crowded.detect(shelf[:1])
    assert seen.limited


@pytest.mark.parametrize("conf", [0.1, 0.25, 0.5])
def test_stored_detections_equal_those_made_at_a_higher_confidence(weights, shelf, tmp_path, conf):
    low = detector(weights, conf=floor_for(conf))
    key = DetectionKey("a" * 64, "b" * 64, 640, floor_for(conf), 0.7, 1000, "test", 1)
    with DetectionStore(tmp_path).write(key, tmp_path) as writer:
        for frame, image in enumerate(shelf):
            (seen,) = low.detect([image])
            writer.add(
                Detections(frame, frame / 30, seen.xyxy, seen.confidence, seen.class_id),
                seen.limited,
            )
        stored = writer.commit(_facts(len(shelf)), tuple(low.class_names.values()))
    high = detector(weights, conf=conf)
    expected = [seen for image in shelf for seen in high.detect([image])]
    assert_same(
        [Seen(d.xyxy, d.confidence, d.class_id, limited=False) for d in stored.above(conf)],
        expected,
    )


def test_a_frame_without_anything_gives_no_boxes(weights):
    (seen,) = detector(weights).detect([np.zeros((360, 640, 3), np.uint8)])
    assert seen.xyxy.shape == (0, 4)
    assert seen.confidence.shape == seen.class_id.shape == (0,)


def test_a_detector_knows_the_names_of_its_classes(weights):
    names = detector(weights).class_names
    assert (len(names), names[0], names[39]) == (80, "person", "bottle")


@pytest.mark.parametrize(
    ("device", "half", "reason"),
    [
        ("warp", False, "no device"),
        ("meta", False, "CUDA device"),
        ("cuda:99", False, "CUDA devices"),
        ("cpu", True, "half precision"),
    ],
)
def test_a_device_that_will_not_do_is_refused(weights, device, half, reason):
    with pytest.raises(UsageError, match=reason):
        detector(weights, device=device, half=half)


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [("yolov8n", 80, 3_157_200), ("fruit-yolov8n", 3, 3_138_489)],
)
def test_the_given_weights_say_what_they_are(shared, name, classes, parameters):
    checkpoint = inspect(shared / "weights" / f"{name}.pt")
    assert checkpoint.architecture == "yolov8n"
    assert len(checkpoint.class_names) == classes
    assert checkpoint.parameters == parameters


def _facts(frames: int) -> VideoFacts:
    return VideoFacts(
        width=640,
        height=360,
        fps=30,
        frames_decoded=frames,
        frames_claimed=frames,
        frames_missing=0,
        duration_s=frames / 30,
        codec="h264",
        damage=None,
    )

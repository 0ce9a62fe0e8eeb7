"""A model on real photographs, beside Ultralytics' own `predict`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from db.files import sha256_of
from db.image_files import find_images, sha256_of_images
from db.layout import model_address
from db.specs import PredictSpec
from tests.quiet import quiet_ultralytics
from worker.context import Context
from worker.jobs import predict

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quiet_ultralytics(tmp_path_factory.mktemp("home")):
        from ultralytics.utils.torch_utils import select_device

        # Predict takes one processor less than there are, and the number of threads changes the
        # last digits of a convolution: both sides must have the same.
        select_device("cpu", verbose=False)
        yield


@pytest.mark.parametrize(
    ("weights", "imgsz", "classes"),
    [("fruit-yolov8n.pt", 416, None), ("yolov8n.pt", 640, ("apple", "banana", "orange"))],
)
def test_boxes_in_photographs_are_those_of_ultralytics_predict(
    shared: Path, tmp_path: Path, weights: str, imgsz: int, classes: tuple[str, ...] | None
) -> None:
    from ultralytics.models import YOLO

    source, images = shared / "weights" / weights, shared / "data" / "fruit" / "images" / "val"
    kept = tmp_path / model_address(sha256_of(source))
    kept.parent.mkdir(parents=True)
    shutil.copyfile(source, kept)
    found = find_images((str(images),), (Path("/"),))
    spec = PredictSpec(
        sources=(str(images),),
        images_sha256=sha256_of_images(found, lambda done: None),
        model="fruit@1",
        model_sha256=sha256_of(source),
        imgsz=imgsz,
        classes=classes,
        annotate=False,
    )
    folder = tmp_path / "attempt-1"
    folder.mkdir()
    result = predict.run(spec, Context(tmp_path, folder))
    assert (result.images, result.unreadable) == (60, 0)
    assert result.detections > 60
    rows = pl.read_parquet(folder / "detections.parquet")
    model = YOLO(source)
    ids = {name: number for number, name in model.names.items()}
    wanted = None if classes is None else [ids[name] for name in classes]
    theirs = model.predict(
        images, imgsz=imgsz, classes=wanted, device="cpu", verbose=False, stream=True
    )
    seen = 0
    for one in theirs:
        ours = rows.filter(pl.col("image") == Path(one.path).name)
        boxes = one.boxes
        np.testing.assert_array_equal(ours.select("x1", "y1", "x2", "y2"), boxes.xyxy.numpy())
        np.testing.assert_array_equal(ours["confidence"], boxes.conf.numpy())
        np.testing.assert_array_equal(ours["class_id"], boxes.cls.numpy())
        seen += len(boxes)
    assert seen == len(rows) == result.detections

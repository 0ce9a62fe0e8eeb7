"""A `predict` job beside Ultralytics' own `predict`, on images in the forms that people have."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from sqlalchemy import Engine, text

from db.dialect import reading
from db.errors import ModelError, Stopped, UsageError
from db.files import sha256_of
from db.image_files import find_images, sha256_of_images
from db.layout import attempt_address, model_address
from db.prediction_results import PredictResult
from db.settings import Settings
from db.specs import PredictSpec, RegisterSpec
from producer.predicting import prediction
from tests.deployment import WEIGHTS
from tests.quiet import quiet_ultralytics
from tests.recorded import checkpoint, finished
from tests.stills import READABLE, UNREADABLE, write_broken, write_stills
from worker.context import Context
from worker.jobs import predict

ROOT = (Path("/"),)
BOX = ("x1", "y1", "x2", "y2")


@pytest.fixture(autouse=True, scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quiet_ultralytics(tmp_path_factory.mktemp("home")):
        from ultralytics.utils.torch_utils import select_device

        # Predict takes one processor less than there are, and the number of threads changes the
        # last digits of a convolution: both sides must have the same.
        select_device("cpu", verbose=False)
        yield


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_stills(tmp_path_factory.mktemp("footage") / "stills")
    write_broken(folder)
    return folder


def spec(*sources: Path | str, **options: Any) -> PredictSpec:
    paths = tuple(map(str, sources))
    values = {
        "sources": paths,
        "images_sha256": sha256_of_images(find_images(paths, ROOT), lambda done: None),
        "model": "products@1",
        "model_sha256": sha256_of(WEIGHTS),
        "imgsz": 320,
        "conf": 0.02,
    }
    return PredictSpec(**values | options)


def run(home: Path, asked: PredictSpec, folder: Path | None = None) -> tuple[PredictResult, Path]:
    folder = folder or home / "attempts" / str(len(list(home.glob("attempts/*"))) + 1)
    folder.mkdir(parents=True)
    return predict.run(asked, Context(home, folder)), folder


@pytest.fixture(scope="module")
def seen(home: Path, stills: Path) -> tuple[PredictResult, Path]:
    """What a job says of all the stills."""
    return run(home, spec(stills))


def ultralytics_predict(image: Path, **options: Any) -> pl.DataFrame:
    """What Ultralytics says of one image."""
    from ultralytics.models import YOLO

    values = {"imgsz": 320, "conf": 0.02, "iou": 0.7, "max_det": 300} | options
    [found] = YOLO(WEIGHTS).predict(image, device="cpu", verbose=False, **values)
    boxes = found.boxes
    rows = np.hstack([boxes.conf.numpy()[:, None], boxes.xyxy.numpy()])
    return pl.DataFrame(
        {"class": [found.names[int(number)] for number in boxes.cls]}
        | dict(zip(("confidence", *BOX), rows.T, strict=True)),
        schema={"class": pl.String} | dict.fromkeys(("confidence", *BOX), pl.Float32),
    )


def of_image(folder: Path, name: str) -> pl.DataFrame:
    rows = pl.read_parquet(folder / "detections.parquet").filter(pl.col("image") == name)
    return rows.select("class", "confidence", *BOX)


@pytest.mark.parametrize("name", READABLE)
def test_boxes_are_those_of_ultralytics_predict(
    seen: tuple[PredictResult, Path], stills: Path, name: str
) -> None:
    theirs = ultralytics_predict(stills / name)
    assert of_image(seen[1], name).equals(theirs)
    assert len(theirs) > 0, "there is something to be compared"


def test_no_image_is_drawn_over_another(home: Path, stills: Path, tmp_path: Path) -> None:
    names = ["a.bmp", "a.bmp.jpg", "a.bmp.jpg.jpg", "a.tif", "b.bmp"]
    pixels = cv2.imread(str(stills / "shelf.png"))
    for name in names:
        assert cv2.imwrite(str(tmp_path / name), pixels)
    for _ in range(2):
        _, folder = run(home, spec(tmp_path))
        drawn = sorted(path.name for path in (folder / "annotated").iterdir())
        own = ["a.bmp.jpg", "a.bmp.jpg.jpg"]
        assert drawn == sorted([*own, "a.bmp.jpg.jpg.jpg", "a.tif.jpg", "b.bmp.jpg"])


def test_arguments_are_those_of_ultralytics_predict(home: Path, stills: Path) -> None:
    names = {"apple": 0, "banana": 1}
    options: dict[str, Any] = {"conf": 0.05, "iou": 0.3, "imgsz": 256, "max_det": 2}
    image = stills / "shelf.png"
    limited, folder = run(home, spec(image, **options))
    assert of_image(folder, "shelf.png").equals(ultralytics_predict(image, **options))
    assert (limited.detections, limited.limited) == (2, 1)
    seen_all = ultralytics_predict(image)["class"].to_list()
    wanted = sorted({seen_all[-1], seen_all[len(seen_all) // 2]})
    from ultralytics.models import YOLO

    ids = {name: number for number, name in YOLO(WEIGHTS).names.items()}
    names = {name: ids[name] for name in wanted}
    for max_det in (300, 1):
        _, folder = run(home, spec(image, classes=tuple(names), max_det=max_det))
        theirs = ultralytics_predict(image, classes=list(names.values()), max_det=max_det)
        assert of_image(folder, "shelf.png").equals(theirs)
        assert 0 < len(theirs) <= max_det


def test_images_of_one_shape_are_looked_at_together_where_the_device_gains_by_it(
    seen: tuple[PredictResult, Path], home: Path, stills: Path
) -> None:
    asked = spec(stills, annotate=False)
    weights = home / model_address(asked.model_sha256)
    # The detector of the last job is kept: this is the one that the job below uses.
    detector: Any = predict.kept_detector(weights, "cpu", asked.conf, asked.iou, 320, asked.max_det)
    sizes: list[int] = []
    alone = detector.detect
    detector.batch_size = 3
    detector.detect = lambda images: sizes.append(len(images)) or alone(images)
    _, folder = run(home, asked)
    predict.kept_detector.cache_clear()
    assert max(sizes) == 3
    assert sum(sizes) == len(READABLE)
    for name in READABLE:
        one, other = of_image(seen[1], name), of_image(folder, name)
        assert one["class"].equals(other["class"])
        for column in ("confidence", *BOX):
            np.testing.assert_allclose(one[column], other[column], rtol=1e-3, atol=1e-2)


def test_an_image_that_cannot_be_read_is_counted_and_named_and_ends_nothing(
    seen: tuple[PredictResult, Path],
) -> None:
    result, folder = seen
    assert (result.images, result.unreadable) == (len(READABLE) + len(UNREADABLE), len(UNREADABLE))
    images = pl.read_parquet(folder / "images.parquet")
    assert images["number"].to_list() == list(range(1, result.images + 1))
    assert images["name"].to_list() == sorted((*READABLE, *UNREADABLE))
    problems = dict(images.filter(pl.col("problem").is_not_null()).select("name", "problem").rows())
    assert problems == {
        "cut off.png": "it is no image, or is damaged",
        "empty.jpg": "the file is empty",
        "huge.png": "OpenCV refuses to decode it (pixels <= CV_IO_MAX_IMAGE_PIXELS)",
        "narrow.png": "it is too narrow: 1 by 2000 pixels",
        "words.jpg": "it is no image, or is damaged",
    }
    assert result.detections == images["detections"].sum()


def test_all_images_unreadable_is_an_error(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "b.png").write_text("no")
    with pytest.raises(UsageError, match=r"none of 2 images can be read; a.jpg: the file is empty"):
        run(home, spec(tmp_path))


def test_sizes_are_as_the_image_is_shown(seen: tuple[PredictResult, Path], stills: Path) -> None:
    images = pl.read_parquet(seen[1] / "images.parquet")
    sizes = {name: size for name, *size in images.select("name", "width", "height").iter_rows()}
    height, width = cv2.imread(str(stills / "shelf.png")).shape[:2]
    assert sizes["rotated.jpg"] == sizes["shelf.png"] == [width, height]


def test_the_csv_says_what_the_parquet_says(seen: tuple[PredictResult, Path]) -> None:
    table = pl.read_parquet(seen[1] / "detections.parquet")
    assert table["number"].to_list() == list(range(1, len(table) + 1))
    read = pl.read_csv(seen[1] / "detections.csv", schema_overrides=dict(table.schema))
    assert read.equals(table)


def test_the_coco_file_is_read_by_pycocotools(seen: tuple[PredictResult, Path]) -> None:
    from pycocotools.coco import COCO

    with redirect_stdout(StringIO()):
        read = COCO(seen[1] / "coco.json")
    table = pl.read_parquet(seen[1] / "detections.parquet")
    assert sorted(one["file_name"] for one in read.dataset["images"]) == sorted(READABLE)
    assert len(read.anns) == len(table)
    for row in table.iter_rows(named=True):
        one = read.anns[row["number"]]
        assert read.imgs[one["image_id"]]["file_name"] == row["image"]
        assert read.cats[one["category_id"]]["name"] == row["class"]
        assert one["category_id"] == row["class_id"] + 1
        x, y, width, height = one["bbox"]
        box = [row[name] for name in BOX]
        assert [x, y, x + width, y + height] == pytest.approx(box, abs=2e-3)
        assert one["score"] == pytest.approx(row["confidence"], abs=1e-6)
        assert one["area"] == pytest.approx(width * height, rel=1e-3)


def test_drawn_images_keep_their_names_and_sizes_and_have_the_boxes_on_them(
    seen: tuple[PredictResult, Path], stills: Path
) -> None:
    drawn = seen[1] / "annotated"
    found = {str(path.relative_to(drawn)) for path in drawn.rglob("*") if path.is_file()}
    shown = {".jpg", ".png", ".webp"}
    assert found == {name if Path(name).suffix in shown else f"{name}.jpg" for name in READABLE}
    before, after = (cv2.imread(str(one / "shelf.png")) for one in (stills, drawn))
    assert before.shape == after.shape
    changed = (before != after).any(axis=2)
    rows = of_image(seen[1], "shelf.png").select(BOX)
    for x1, y1, x2, y2 in rows.iter_rows():
        y, middle = int((y1 + y2) / 2), int((x1 + x2) / 2)
        assert changed[y, [int(x1), int(x2)]].all(), "its sides"
        assert changed[int(y2) - 1 : int(y2) + 2, middle].any(), "its foot"
    assert 0 < changed.mean() < 0.6


def test_nothing_is_drawn_where_nobody_asked_for_it(home: Path, stills: Path) -> None:
    result, folder = run(home, spec(stills / "belt.jpg", annotate=False))
    names = {"images.parquet", "detections.parquet", "detections.csv", "coco.json"}
    assert {path.name for path in folder.iterdir()} == names
    assert {one.name for one in result.files} == names


def test_images_that_have_changed_are_refused(home: Path, stills: Path, tmp_path: Path) -> None:
    shutil.copytree(stills, tmp_path / "stills")
    asked = spec(tmp_path / "stills")
    shutil.copyfile(stills / "belt.jpg", tmp_path / "stills" / "another.jpg")
    with pytest.raises(UsageError, match=r"have changed since they were enqueued: ask again$"):
        run(home, asked)


def test_images_that_this_worker_may_not_read_are_named(
    home: Path, stills: Path, tmp_path: Path
) -> None:
    (tmp_path / "stills").mkdir()
    shutil.copyfile(stills / "belt.jpg", tmp_path / "stills" / "belt.jpg")
    (tmp_path / "stills" / "link.png").symlink_to(stills / "shelf.png")
    context = Context(home, tmp_path, roots=(tmp_path / "stills",))
    with pytest.raises(UsageError, match=r"left out here: .*link.png lies outside the allowed"):
        predict.run(spec(tmp_path / "stills"), context)


def test_a_prediction_can_be_stopped_between_two_images(
    home: Path, stills: Path, tmp_path: Path
) -> None:
    # All are read, the model is loaded, and two are looked at.
    before = len(READABLE) + len(UNREADABLE) + 1 + 2
    checkpoints = itertools.count(1)
    context = Context(home, tmp_path, stop_wanted=lambda: next(checkpoints) >= before)
    with pytest.raises(Stopped):
        predict.run(spec(stills, annotate=False), context)
    assert next(checkpoints) == before + 1
    assert list(tmp_path.iterdir()) == []


def recorded(database: Engine, config: Settings, asked: PredictSpec, home: Path) -> int:
    """The id of a job that has run, and whose results are written."""
    model = RegisterSpec(name="products", weights=str(WEIGHTS), weights_sha256=sha256_of(WEIGHTS))
    first = finished(database, model, checkpoint("apple", "banana"))
    kept = config.home / model_address(sha256_of(WEIGHTS))
    kept.parent.mkdir(parents=True)
    shutil.copyfile(home / model_address(sha256_of(WEIGHTS)), kept)
    # The next job has the next id, and this is its first attempt.
    result, _ = run(config.home, asked, config.home / attempt_address(first.id + 1, 1))
    job = finished(database, asked, result)
    assert job.id == first.id + 1
    return job.id


def test_what_was_seen_is_in_the_tables(
    database: Engine, configured: Settings, stills: Path, home: Path
) -> None:
    asked = spec(stills, classes=("apple", "banana"), annotate=False)
    job_id = recorded(database, configured, asked, home)
    folder = configured.home / attempt_address(job_id, 1)
    with reading(database) as tx:
        [row] = tx.execute(text("SELECT * FROM predictions")).mappings().all()
        images = tx.execute(text("SELECT * FROM prediction_images ORDER BY number")).all()
        boxes = tx.execute(text("SELECT * FROM detections ORDER BY number")).mappings().all()
    assert row["folder"] == str(stills)
    assert (row["imgsz"], row["conf"], row["annotated"]) == (320, 0.02, None)
    kept = pl.read_parquet(folder / "images.parquet").rows()
    assert [tuple(one)[1:] for one in images] == kept
    table = pl.read_parquet(folder / "detections.parquet")
    columns = ("number", "image_number", "class", "confidence", *BOX)
    assert [tuple(one[name] for name in columns) for one in boxes] == table.select(columns).rows()
    found = prediction(job_id)
    assert found.model == "products@1"
    assert found.facts["detections"] == len(table) > 0
    assert {one["class"]: one["detections"] for one in found.classes} == dict(
        table.group_by("class").len().rows()
    )
    assert [one["name"] for one in found.unreadable] == sorted(UNREADABLE)


def test_no_row_is_written_of_a_model_that_is_not_registered(
    database: Engine, configured: Settings, stills: Path, home: Path
) -> None:
    asked = spec(stills / "belt.jpg", annotate=False)
    result, _ = run(home, asked)
    with pytest.raises(ModelError, match="products@1 is not registered any more"):
        finished(database, asked, result)
    with reading(database) as tx:
        assert tx.scalar(text("SELECT COUNT(*) FROM predictions")) == 0


def test_a_job_that_looked_at_nothing_has_no_prediction(configured: Settings) -> None:
    with pytest.raises(UsageError, match="job 7 looked at no images"):
        prediction(7)


def test_the_coco_file_is_one_json_document_without_detections_too(
    home: Path, stills: Path
) -> None:
    _, folder = run(home, spec(stills / "tiny.png", conf=0.9))
    content = json.loads((folder / "coco.json").read_text())
    assert content["annotations"] == []
    assert [one["file_name"] for one in content["images"]] == ["tiny.png"]

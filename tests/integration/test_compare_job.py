"""A `compare` job beside Ultralytics' own `val`, on rendered shelves and belts."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from PIL import Image
from pydantic import ValidationError
from sqlalchemy import Engine

import producer
from db.comparison_results import MIN_IMAGES, CompareResult
from db.dataset_files import find_dataset, sha256_of_dataset
from db.errors import DatasetError, ModelError, NightshelfError, Stopped, UsageError
from db.files import sha256_of
from db.job_records import Progress
from db.layout import model_address
from db.specs import CompareSpec, RegisterSpec
from demo.dataset import CLASSES, Shoot, write_dataset
from producer.commands.compare import print_comparison
from tests.deployment import WEIGHTS
from tests.quiet import quiet_ultralytics
from tests.recorded import checkpoint, finished
from tests.shaken import shaken
from worker.context import Context
from worker.jobs import compare

ARGUMENTS: dict[str, Any] = {"imgsz": 320, "batch": 4}


@pytest.fixture(autouse=True, scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quiet_ultralytics(tmp_path_factory.mktemp("home")):
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames, whose products the demo's model knows."""
    shoot = Shoot("val", first_seed=90_000, belts=1, shelves=1, frames=6)
    return write_dataset(tmp_path_factory.mktemp("data") / "set", (shoot,))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The demo's model as it is, shaken, with other names for its classes, and with them turned."""
    import torch

    folder = tmp_path_factory.mktemp("weights")
    content = torch.load(WEIGHTS, weights_only=False)
    content["model"].names = {
        number: f"tool {number}" if number > 1 else name.upper()
        for number, name in content["model"].names.items()
    }
    torch.save(content, folder / "others.pt")
    content["model"].names = dict(enumerate(CLASSES[::-1]))
    torch.save(content, folder / "turned.pt")
    return {
        "products@1": WEIGHTS,
        "worse@1": shaken(folder / "shaken.pt"),
        "others@1": folder / "others.pt",
        "turned@1": folder / "turned.pt",
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, weights: dict[str, Path]) -> Path:
    made = tmp_path_factory.mktemp("nightshelf")
    for source in weights.values():
        kept = made / model_address(sha256_of(source))
        kept.parent.mkdir(parents=True)
        shutil.copyfile(source, kept)
    return made


def spec_of(data: Path, weights: dict[str, Path], *names: str, **options: Any) -> CompareSpec:
    return CompareSpec(
        models=names,
        model_sha256s=tuple(sha256_of(weights[name]) for name in names),
        name="scenes",
        data=str(data),
        dataset_sha256=sha256_of_dataset(find_dataset(data), lambda done, total: None),
        **ARGUMENTS | options,
    )


def copied(data: Path, folder: Path) -> Path:
    """The `data.yaml` of a copy, as Ultralytics insists on it."""
    shutil.copytree(data.parent, folder)
    content = yaml.safe_load(data.read_text()) | {"path": str(folder), "train": "images/val"}
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    return folder / "data.yaml"


def run(spec: CompareSpec, home: Path, folder: Path) -> CompareResult:
    folder.mkdir()
    return compare.run(spec, Context(home, folder))


def register_all(database: Engine, weights: dict[str, Path], models: Sequence[str]) -> None:
    for name in models:
        register = RegisterSpec(
            name=name.partition("@")[0],
            weights=str(weights[name]),
            weights_sha256=sha256_of(weights[name]),
        )
        finished(database, register, checkpoint(*CLASSES))


@pytest.fixture(scope="module")
def compared(
    data: Path, home: Path, weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[CompareSpec, CompareResult, Path]:
    """What a job says of the demo's model beside the one that was shaken, and its folder."""
    spec = spec_of(data, weights, "worse@1", "products@1")
    folder = tmp_path_factory.mktemp("job") / "attempt-1"
    return spec, run(spec, home, folder), folder


@pytest.mark.parametrize("position", [0, 1])
def test_each_model_has_the_metrics_of_ultralytics_val(
    compared: tuple[CompareSpec, CompareResult, Path],
    data: Path,
    weights: dict[str, Path],
    tmp_path: Path,
    position: int,
) -> None:
    from ultralytics.models import YOLO

    copy = copied(data, tmp_path / "copy")
    spec, result, _ = compared
    theirs = YOLO(weights[spec.models[position]]).val(
        data=str(copy),
        device="cpu",
        plots=False,
        verbose=False,
        project=str(tmp_path / "runs"),
        **ARGUMENTS,
    )
    ours = result.models[position]
    overall = (ours.precision, ours.recall, ours.map50, ours.map50_95)
    assert overall == pytest.approx(theirs.box.mean_results(), abs=1e-6)
    measured = [one for one in ours.classes if one.map50 is not None]
    for place, one in enumerate(measured):
        found = (one.precision, one.recall, one.map50, one.map50_95)
        assert found == pytest.approx(theirs.box.class_result(place), abs=1e-6)


def test_differences_are_to_the_base_and_lie_in_their_intervals(
    compared: tuple[CompareSpec, CompareResult, Path],
) -> None:
    _, result, _ = compared
    base, other = result.models
    assert base.map50_difference is None
    assert other.map50_difference == pytest.approx(other.map50 - base.map50, abs=1e-6)
    assert other.map50_95_difference == pytest.approx(other.map50_95 - base.map50_95, abs=1e-6)
    assert other.map50_low is not None
    assert other.map50_high is not None
    assert other.map50_low < other.map50_difference < other.map50_high
    assert other.map50_low > 0, "what was shaken is clearly worse"


def test_counts_cover_every_object_and_cost_is_that_of_the_file(
    compared: tuple[CompareSpec, CompareResult, Path], weights: dict[str, Path]
) -> None:
    spec, result, folder = compared
    rows = pl.read_parquet(folder / "objects.parquet")
    assert result.classes == tuple(CLASSES)
    for name, one in zip(spec.models, result.models, strict=True):
        assert one.true_positives + one.false_negatives == result.instances > 0
        boxes = rows.filter(
            (pl.col("model") == name) & ~pl.col("truth") & (pl.col("confidence") >= one.counted_at)
        )
        assert one.true_positives + one.false_positives == len(boxes)
        assert one.counted_at == one.best_confidence
        assert one.counted_recall == one.true_positives / result.instances
        assert one.size_bytes == weights[name].stat().st_size
        assert one.gflops > 0.1
        assert one.inference_ms > 0


def test_pictures_show_where_they_differ_most_first(
    compared: tuple[CompareSpec, CompareResult, Path],
) -> None:
    _, result, folder = compared
    files = [file.name for file in result.files]
    assert sorted(files) == sorted(path.name for path in folder.iterdir())
    pictures = [folder / name for name in files if name.endswith(".jpg")]
    assert pictures[0].name == "difference-01.jpg"
    with Image.open(pictures[0]) as picture:
        assert picture.width == 1200
    page = (folder / "report.html").read_text()
    assert page.count("data:image/jpeg;base64") == len(pictures)
    assert "worse@1" in page


def test_classes_of_other_names_are_mapped_and_the_rest_is_left_out_for_all(
    data: Path, home: Path, weights: dict[str, Path], tmp_path: Path
) -> None:
    spec = spec_of(
        data,
        weights,
        "products@1",
        "others@1",
        class_map={"APPLE": "apple", "BANANA": "banana"},
        at=0.5,
        match_iou=0.75,
    )
    result = run(spec, home, tmp_path / "attempt-1")
    base, other = result.models
    assert result.classes == ("apple", "banana")
    assert (base.left_out, other.left_out) == ((), tuple(CLASSES[2:]))
    same = {"left_out", "map50_difference", "map50_low", "map50_high", "size_bytes"}
    same |= {"map50_95_difference", "map50_95_low", "map50_95_high"}
    same |= {"preprocess_ms", "inference_ms", "postprocess_ms"}
    assert base.model_dump(exclude=same) == other.model_dump(exclude=same), "weights are the same"
    assert (other.map50_difference, other.map50_low, other.map50_high) == (0, 0, 0)
    assert base.counted_at == 0.5
    assert not list((tmp_path / "attempt-1").glob("difference-*.jpg"))


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_few_images_give_no_interval_and_no_better_model(
    database: Engine,
    home: Path,
    weights: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shoot = Shoot("val", first_seed=90_000, belts=1, shelves=1, frames=1)
    spec = spec_of(write_dataset(tmp_path / "set", (shoot,)), weights, "worse@1", "products@1")
    result = run(spec, home, tmp_path / "attempt-1")
    other = result.models[1]
    assert result.images < MIN_IMAGES
    assert other.map50_difference == pytest.approx(other.map50 - result.models[0].map50)
    assert (other.map50_low, other.map50_95_high) == (None, None)
    page = (tmp_path / "attempt-1" / "report.html").read_text()
    assert page.count("too few images") == 2
    assert 'class="number better"' not in page
    register_all(database, weights, spec.models)
    found = producer.comparison(finished(database, spec, result).id)
    assert found.models[1].metrics["map50_difference"] == other.map50_difference
    assert not found.models[1].better("map50")
    print_comparison(found)
    assert capsys.readouterr().out.count("too few images") == 2


def test_models_that_find_nothing_are_compared_too(
    data: Path, home: Path, weights: dict[str, Path], tmp_path: Path
) -> None:
    spec = spec_of(data, weights, "worse@1", "products@1", conf=0.9999)
    result = run(spec, home, tmp_path / "attempt-1")
    for one in result.models:
        assert (one.counted_at, one.true_positives, one.false_negatives) == (0, 0, result.instances)
        assert {by.best_confidence for by in one.classes} == {None}
    other = result.models[1]
    assert (other.map50_difference, other.map50_low, other.map50_high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("class_map", "error", "said"),
    [
        ({"apfel": "apple"}, UsageError, "no model has a class 'apfel': did you mean .*apple"),
        ({"APPLE": "Appel"}, UsageError, "the data set has no class 'Appel': did you mean apple"),
        (
            {"APPLE": "apple", "BANANA": "apple"},
            UsageError,
            "makes two classes of others@1 one, 'apple': 'APPLE' and 'BANANA'",
        ),
        ({}, ModelError, "no class that all models know, of apple, .*others@1 knows none of them"),
    ],
)
def test_what_cannot_be_mapped_is_refused(
    data: Path,
    home: Path,
    weights: dict[str, Path],
    tmp_path: Path,
    class_map: dict[str, str],
    error: type[Exception],
    said: str,
) -> None:
    spec = spec_of(data, weights, "products@1", "others@1", class_map=class_map)
    with pytest.raises(error, match=said):
        run(spec, home, tmp_path / "attempt-1")


def test_models_of_other_ids_are_measured_on_the_same_objects(
    data: Path, home: Path, weights: dict[str, Path], tmp_path: Path
) -> None:
    """However they are written: a tab, a class with a point, a byte order mark."""
    copy = copied(data, tmp_path / "copy").parent
    for label in (copy / "labels/val").iterdir():
        text = label.read_text().replace(" ", ".0\t", 1)
        label.write_text(f"\ufeff{text}{text.splitlines()[0]}\n")
    spec = spec_of(copy / "data.yaml", weights, "products@1", "turned@1", imgsz=64)
    result = run(spec, home, tmp_path / "attempt-1")
    plain = run(
        spec_of(data, weights, "products@1", "worse@1", imgsz=64), home, tmp_path / "attempt-2"
    )
    for one in result.models:
        assert [(by.class_name, by.instances, by.images) for by in one.classes] == [
            (by.class_name, by.instances, by.images) for by in plain.models[0].classes
        ]


def test_an_image_that_would_be_left_out_is_refused(
    data: Path, home: Path, weights: dict[str, Path], tmp_path: Path
) -> None:
    copy = copied(data, tmp_path / "copy").parent
    label, *_ = sorted((copy / "labels/val").iterdir())
    label.write_text(label.read_text() + "7 0.5 0.5 0.1 0.1\n")
    with pytest.raises(DatasetError, match=rf"1 of 12 images of .*/{label.stem}.* class 7 exceeds"):
        run(
            spec_of(copy / "data.yaml", weights, "turned@1", "products@1"),
            home,
            tmp_path / "attempt-1",
        )


def test_models_that_were_not_shown_the_same_images_are_not_compared(
    data: Path,
    home: Path,
    weights: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ultralytics.data import dataset
    from ultralytics.data.utils import verify_image_label

    calls = itertools.count(1)

    def lose_one(pair: Any) -> Any:
        """Of the twelve images of the second model, one goes while they are read."""
        if next(calls) == 12 + 5:
            Path(pair[0]).unlink()
        return verify_image_label(pair)

    monkeypatch.setattr(dataset, "verify_image_label", lose_one)
    with pytest.raises(NightshelfError, match=r"worse@1 was measured on 11 of 12 images of .*"):
        run(spec_of(data, weights, "products@1", "worse@1", imgsz=64), home, tmp_path / "attempt-1")


def test_a_model_is_compared_with_others_and_not_with_itself(
    data: Path, weights: dict[str, Path]
) -> None:
    with pytest.raises(ValidationError, match="again@1 and products@1 are the same model"):
        spec_of(data, weights | {"again@1": WEIGHTS}, "again@1", "products@1")


def test_a_split_that_is_not_there_is_refused(
    data: Path, home: Path, weights: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match="has no test: it has val"):
        run(
            spec_of(data, weights, "products@1", "worse@1", split="test"),
            home,
            tmp_path / "attempt-1",
        )


def test_it_can_be_stopped_between_two_batches_and_tells_how_far_it_is(
    data: Path, home: Path, weights: dict[str, Path], tmp_path: Path
) -> None:
    folder, told = tmp_path / "attempt-1", list[Progress]()
    folder.mkdir()
    # Twelve images are read, two models are loaded and warmed up, the images are laid out for the
    # first of them, and four batches evaluated.
    checkpoints = itertools.count(1)
    context = Context(
        home,
        folder,
        report=told.append,
        stop_wanted=lambda: next(checkpoints) > 12 + 1 + 2 + 12 + 4,
    )
    with pytest.raises(Stopped):
        compare.run(spec_of(data, weights, "products@1", "worse@1"), context)
    assert list(folder.iterdir()) == []
    assert told[-1].total == 24
    assert told[-1].note is not None


@pytest.mark.usefixtures("configured")
def test_what_was_compared_is_in_the_tables(
    database: Engine,
    compared: tuple[CompareSpec, CompareResult, Path],
    weights: dict[str, Path],
) -> None:
    spec, result, _ = compared
    register_all(database, weights, spec.models)
    job = finished(database, spec, result)
    found = producer.comparison(job.id)
    assert [one.model for one in found.models] == list(spec.models)
    assert found.arguments["classes"] == list(CLASSES)
    other = found.of(sha256_of(WEIGHTS))
    assert other.better("map50")
    assert not found.models[0].better("map50")
    assert other.metrics["map50_low"] == result.models[1].map50_low
    assert len(other.errors) == 6
    assert {row["class"] for row in other.classes} == set(CLASSES)
    with pytest.raises(UsageError, match="did not compare model 000000000000"):
        found.of("0" * 64)
    with pytest.raises(UsageError, match="compared no models"):
        producer.comparison(job.id - 1)

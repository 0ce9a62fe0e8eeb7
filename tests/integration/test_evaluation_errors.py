"""What an `evaluate` job says of a model's errors: files, tables, and what is read from them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import polars as pl
import pytest
import yaml
from PIL import Image
from sqlalchemy import Engine, text

import producer
from db.dataset_files import find_dataset, sha256_of_dataset
from db.dialect import reading
from db.error_kinds import ErrorKind
from db.errors import DatasetError, UsageError
from db.evaluation_results import EvaluateResult
from db.files import sha256_of
from db.layout import model_address
from db.specs import EvaluateSpec, RegisterSpec
from demo.dataset import Shoot, write_dataset
from tests.deployment import WEIGHTS
from tests.quiet import quiet_ultralytics
from tests.recorded import checkpoint, finished
from worker.context import Context
from worker.jobs import evaluate
from worker.row_file import write_tables


@pytest.fixture(autouse=True, scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quiet_ultralytics(tmp_path_factory.mktemp("home")):
        yield


def spec_of(data: Path, conf: float = 0.001) -> EvaluateSpec:
    return EvaluateSpec(
        model="products@1",
        model_sha256=sha256_of(WEIGHTS),
        name="scenes",
        data=str(data),
        dataset_sha256=sha256_of_dataset(find_dataset(data), lambda done, total: None),
        imgsz=320,
        batch=4,
        conf=conf,
    )


def run(data: Path, home: Path, conf: float = 0.001) -> EvaluateResult:
    kept = home / model_address(sha256_of(WEIGHTS))
    kept.parent.mkdir(parents=True)
    shutil.copyfile(WEIGHTS, kept)
    folder = home / "attempt-1"
    folder.mkdir()
    return evaluate.run(spec_of(data, conf), Context(home, folder))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EvaluateResult, Path]:
    """A data set with a label that is wrong, what a job says of it, and the job's folder."""
    shoot = Shoot("val", first_seed=90_000, belts=1, shelves=1, frames=4)
    data = write_dataset(tmp_path_factory.mktemp("data") / "set", (shoot,))
    label = sorted((data.parent / "labels/val").iterdir())[0]
    label.write_text(label.read_text().replace("\n2 ", "\n1 ", 1))  # a grape called banana
    home = tmp_path_factory.mktemp("job")
    return data, run(data, home), home / "attempt-1"


def test_totals_agree_with_the_rows_of_the_objects(
    evaluated: tuple[Path, EvaluateResult, Path],
) -> None:
    _, result, folder = evaluated
    rows = pl.read_parquet(folder / "objects.parquet")
    objects = rows.filter("truth")
    boxes = rows.filter(~pl.col("truth") & (pl.col("confidence") >= result.best_confidence))
    assert result.true_positives == (objects["outcome"] == "correct").sum() > 0
    assert result.true_positives == (boxes["outcome"] == "correct").sum()
    assert result.false_positives == len(boxes) - result.true_positives
    assert result.false_negatives == len(objects) - result.true_positives
    for one in result.errors:
        of = objects if one.kind is ErrorKind.MISSED else boxes
        assert one.count == (of["outcome"] == one.kind).sum(), one.kind
    assert sum(one.instances for one in result.misses) == len(objects)
    assert sum(one.count for one in result.confusion if one.true_class) == len(objects)
    assert sum(one.count for one in result.confusion if one.predicted_class) == len(boxes)


def test_an_object_with_a_wrong_label_is_seen_as_another_class(
    evaluated: tuple[Path, EvaluateResult, Path],
) -> None:
    data, _, folder = evaluated
    image = sorted((data.parent / "images/val").iterdir())[0]
    row = (
        pl.read_parquet(folder / "objects.parquet")
        .filter((pl.col("image") == str(image)) & pl.col("truth"))
        .row(1, named=True)
    )
    said = [row[name] for name in ("class", "outcome", "matched_class")]
    assert said == ["banana", "wrong class", "grape"]
    assert row["iou"] > 0.5


def test_tables_are_written_one_after_the_other(tmp_path: Path) -> None:
    tables = [pl.DataFrame({"number": [place, place + 1]}) for place in range(12)]
    write_tables(tmp_path / "found.parquet", iter(tables))
    assert pl.read_parquet(tmp_path / "found.parquet").equals(pl.concat(tables))
    assert [path.name for path in tmp_path.iterdir()] == ["found.parquet"]


def test_the_worst_images_are_drawn_and_the_page_holds_all(
    evaluated: tuple[Path, EvaluateResult, Path],
) -> None:
    _, result, folder = evaluated
    names = {file.name for file in result.files}
    assert {path.name for path in folder.iterdir()} == names
    worst = sorted(folder.glob("worst-*.jpg"))
    assert worst[0].name == "worst-01.jpg"
    for path in worst:
        with Image.open(path) as picture:
            assert picture.width == 1200
    page = (folder / "report.html").read_text()
    assert page.count("data:image/jpeg;base64") == len(worst)
    assert page.count("data:image/png;base64") == 4
    assert "http" not in page, "it needs nothing beside it"


def test_the_sweep_passes_through_what_was_measured(
    evaluated: tuple[Path, EvaluateResult, Path],
) -> None:
    _, result, folder = evaluated
    mean = pl.read_parquet(folder / "sweep.parquet").filter(pl.col("class").is_null())
    [best] = mean.filter(pl.col("confidence") == result.best_confidence).to_dicts()
    assert best["precision"] == pytest.approx(result.precision, abs=1e-6)
    assert best["recall"] == pytest.approx(result.recall, abs=1e-6)
    assert best["f1"] == pytest.approx(result.f1, abs=1e-6)
    assert result.sweep[0].class_name is None
    assert {len(one.f1) for one in result.sweep} == {101}


@pytest.mark.usefixtures("configured")
def test_confidences_are_chosen_from_the_newest_evaluation(
    evaluated: tuple[Path, EvaluateResult, Path], database: Engine
) -> None:
    data, result, _ = evaluated
    digest = sha256_of(WEIGHTS)
    register = RegisterSpec(name="products", weights=str(WEIGHTS), weights_sha256=digest)
    finished(database, register, checkpoint("apple", "banana"))
    model = producer.model("products@1")
    with pytest.raises(UsageError, match="products@1 was not evaluated yet"):
        producer.operating_point_of(model)
    older = finished(database, spec_of(data), result.model_copy(update={"best_confidence": 0.9}))
    job = finished(database, spec_of(data), result)
    assert producer.operating_point_of(model).confidence == result.best_confidence
    assert producer.operating_point(older.id).confidence == 0.9
    found = producer.operating_point(job.id, precision=0.5)
    curve = [
        mean(
            one.precision[place]
            for one in result.sweep[1:]
            if one.recall[place] > 0 or one.precision[place] < 1
        )
        for place in range(round(found.confidence * 100) + 1)
    ]
    assert found.precision == pytest.approx(curve[-1])
    assert curve[-1] >= 0.5
    assert max(curve[:-1], default=0) < 0.5
    with pytest.raises(UsageError, match=r"a precision is above 0 and at most 1, not 1\.5"):
        producer.operating_point(job.id, precision=1.5)
    none = tuple(0.0 for _ in result.sweep[0].recall)
    poor = [
        one.model_copy(update={"precision": tuple(0.4 * value for value in one.precision)})
        for one in result.sweep
    ]
    poorer = result.model_copy(update={"sweep": tuple(poor)})
    job = finished(database, spec_of(data), poorer)
    with pytest.raises(UsageError, match=r"precision 0\.95 is never reached .*: the highest is 0"):
        producer.operating_point_of(model, precision=0.95)
    blind = result.sweep[0].model_copy(update={"recall": none})
    job = finished(database, spec_of(data), result.model_copy(update={"sweep": (blind,)}))
    with pytest.raises(UsageError, match="the model finds nothing"):
        producer.operating_point(job.id, precision=0.1)


@pytest.mark.usefixtures("configured")
def test_errors_are_in_the_tables(
    evaluated: tuple[Path, EvaluateResult, Path], database: Engine
) -> None:
    data, result, _ = evaluated
    digest = sha256_of(WEIGHTS)
    register = RegisterSpec(name="products", weights=str(WEIGHTS), weights_sha256=digest)
    finished(database, register, checkpoint("apple", "banana"))
    job = finished(database, spec_of(data), result)
    with reading(database) as tx:
        query = text("SELECT kind, count, map50_cost FROM evaluation_errors")
        assert {tuple(row) for row in tx.execute(query)} == {
            (one.kind.value, one.count, one.map50_cost) for one in result.errors
        }
        query = text("SELECT count(*), count(class), max(confidence) FROM evaluation_sweep")
        rows = len(result.sweep) * 101
        assert tuple(tx.execute(query).one()) == (rows, rows - 101, 1.0)
    found = producer.evaluation(job.id)
    assert found.model == "products@1"
    assert found.metrics["best_confidence"] == result.best_confidence
    assert [row["kind"] for row in found.errors] == list(ErrorKind)
    assert len(found.confusion) == len(result.confusion)
    assert len(found.misses) == len(result.misses)


def test_a_split_without_an_object_that_the_model_knows_is_refused(
    evaluated: tuple[Path, EvaluateResult, Path], tmp_path: Path
) -> None:
    data, _, _ = evaluated
    copy = tmp_path / "empty"
    shutil.copytree(data.parent, copy)
    for label in (copy / "labels/val").iterdir():
        label.write_text("")
    content = yaml.safe_load(data.read_text())
    (copy / "data.yaml").write_text(
        yaml.safe_dump({"val": "images/val", "names": content["names"]})
    )
    with pytest.raises(DatasetError, match="not one object of a class that the model knows in val"):
        run(copy / "data.yaml", tmp_path / "job")


def test_a_model_that_sees_nothing_has_a_report_too(
    evaluated: tuple[Path, EvaluateResult, Path], tmp_path: Path
) -> None:
    data, known, _ = evaluated
    result = run(data, tmp_path / "job", conf=0.9999)
    assert (result.true_positives, result.false_positives) == (0, 0)
    assert result.false_negatives == known.instances
    assert result.map50 == 0
    assert result.best_confidence is None
    assert {one.best_confidence for one in result.classes} == {None}
    page = (tmp_path / "job" / "attempt-1" / "report.html").read_text()
    assert page.count("data:image/png;base64") == 4

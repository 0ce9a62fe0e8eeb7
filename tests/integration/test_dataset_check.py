"""Data sets that are broken in one way each, and what a check says of them."""

from __future__ import annotations

import base64
import os
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from PIL import Image
from sqlalchemy import Engine, text

from db.dataset_files import find_dataset, sha256_of_dataset, sha256_of_layout
from db.dataset_results import CheckResult
from db.dialect import reading
from db.errors import DatasetError, Stopped, UsageError
from db.file_facts import FileFacts
from db.specs import CheckSpec
from tests.broken_datasets import BREAKAGES
from tests.labelled import LABEL, NAMES, label_of, write_dataset, write_image
from tests.quiet import quiet_ultralytics
from tests.recorded import finished
from worker.context import Context
from worker.datasets.examination import examine
from worker.datasets.pictures import FORMATS
from worker.datasets.problems import Finding, summed_up
from worker.figures import INCH_PX
from worker.jobs import check

TRAIN = "images/train/train0.png"


def spec(data: Path) -> CheckSpec:
    digest = sha256_of_dataset(find_dataset(data), lambda done, total: None)
    return CheckSpec(name="fruit", data=str(data), dataset_sha256=digest)


def run(data: Path) -> CheckResult:
    folder = data.parent.parent / "attempt-1"
    folder.mkdir(exist_ok=True)
    return check.run(spec(data), Context(data.parent, folder))


def found_in(data: Path) -> list[Finding]:
    """What is wrong with a data set; without the report, which takes a second."""
    return summed_up(examine(find_dataset(data), lambda done: None).problems)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "set", {"train": 4, "val": 2})


def test_a_sound_data_set_is_clean_and_counted(data: Path) -> None:
    result = run(data)
    assert result.findings == ()
    train, val = result.splits
    assert train.model_dump() == {
        "split": "train",
        "images": 4,
        "labelled": 4,
        "background": 0,
        "instances": 12,
        "mean_per_class": 4.0,
        "most_frequent": "apple",
        "least_frequent": "orange",
        "imbalance": 1.0,
        "small": 0,
    }
    assert (val.split, val.images, val.instances) == ("val", 2, 6)
    assert [
        (one.split, one.class_id, one.class_name, one.instances, one.images)
        for one in result.classes
    ] == [
        *[("train", number, name, 4, 4) for number, name in enumerate(NAMES)],
        *[("val", number, name, 2, 2) for number, name in enumerate(NAMES)],
    ]


@pytest.mark.parametrize("name", BREAKAGES)
def test_what_is_broken_is_found_and_nothing_else(data: Path, name: str) -> None:
    break_it, found = BREAKAGES[name]
    break_it(data.parent / TRAIN)
    before = {path: path.read_bytes() for path in data.parent.rglob("*") if path.is_file()}
    assert [(one.severity, one.kind, one.split, one.count) for one in found_in(data)] == found
    after = {path: path.read_bytes() for path in data.parent.rglob("*") if path.is_file()}
    assert after == before, "the data set is left as it is"


def test_the_formats_are_those_that_ultralytics_takes(data: Path) -> None:
    with quiet_ultralytics(data.parent):
        from ultralytics.data.utils import IMG_FORMATS

    assert {name.lower() for name in FORMATS} == IMG_FORMATS | {"jpeg2000"}


def test_a_file_whose_name_no_row_can_hold_is_said_and_the_others_are_counted(data: Path) -> None:
    BREAKAGES["latin name"][0](data.parent / TRAIN)
    result = run(data)
    [found] = result.findings
    assert found.examples == (f"{data.parent}/images/train/caf\\udce9.png",)
    assert [(one.images, one.instances) for one in result.splits] == [(3, 9), (2, 6)]
    assert "caf\\udce9.png" in (data.parent.parent / "attempt-1" / "report.html").read_text()


def test_a_lone_label_whose_name_no_row_can_hold_is_said(data: Path) -> None:
    BREAKAGES["latin name"][0](data.parent / TRAIN)
    os.unlink(os.fsencode(data.parent / "images/train") + b"/caf\xe9.png")
    [found] = found_in(data)
    assert (found.kind, found.count) == ("label without image", 1)
    assert found.examples == (f"{data.parent}/labels/train/caf\\udce9.txt",)


def test_two_classes_of_one_name_are_said_in_the_report_and_the_tables(
    database: Engine, data: Path
) -> None:
    BREAKAGES["one name twice"][0](data.parent / TRAIN)
    result = run(data)
    finished(database, spec(data), result)
    assert [one.examples for one in result.findings] == [("2 classes are called apple",)]
    assert [one.instances for one in result.classes] == [4, 4, 4, 2, 2, 2]


def test_a_box_over_the_edge_counts(data: Path) -> None:
    BREAKAGES["over the edge"][0](data.parent / TRAIN)
    assert [one.instances for one in run(data).splits] == [13, 6]


@pytest.mark.parametrize("name", ["empty image", "cut image", "text as image"])
def test_an_unreadable_image_is_found_where_ultralytics_is_imported(data: Path, name: str) -> None:
    """It changes how Pillow opens files, in the whole process."""
    with quiet_ultralytics(data.parent):
        import ultralytics.models  # noqa: F401

        BREAKAGES[name][0](data.parent / TRAIN)
        assert [one.kind for one in found_in(data)] == ["unreadable image"]


def test_a_finding_says_where(data: Path) -> None:
    label_of(data.parent / TRAIN).write_text(LABEL + "3 0.5 0.5 0.1 0.1")
    [found] = found_in(data)
    assert found.examples == (f"{label_of(data.parent / TRAIN)}, line 4",)


def test_a_missing_split_and_a_missing_image_are_errors(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "set", {"train": 2}, train="train.txt")
    (data.parent / "train.txt").write_text(f"{TRAIN}\nimages/train/gone.png\n")
    kinds = [(one.severity, one.kind) for one in found_in(data)]
    assert ("error", "missing split") in kinds
    assert ("error", "missing image") in kinds


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_that_is_named_in_vain_is_missing(tmp_path: Path, split: str) -> None:
    data = write_dataset(tmp_path / "set", None, "images/{split}", **{split: "images/holdout"})
    [found] = found_in(data)
    assert (found.severity, found.kind, found.split) == ("error", "missing split", split)
    assert f"`{split}` names images/holdout, which is not there" in found.examples[0]


def test_repairs_are_warnings_and_the_repaired_file_needs_none(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "set", nc=80, path="/home/somebody/set")
    result = run(data)
    assert {(one.severity, one.kind) for one in result.findings} == {("warning", "repaired")}
    mended = tmp_path / "attempt-1" / "data.yaml"
    assert find_dataset(mended).repairs == ()
    assert find_dataset(mended).splits == find_dataset(data).splits


def test_objects_smaller_than_a_hundredth_are_counted_and_all_are_in_the_parquet(
    data: Path,
) -> None:
    lines = "0 0.5 0.5 0.1 0.0999\n0 0.5 0.5 0.1 0.11"
    label_of(data.parent / TRAIN).write_text(LABEL + lines)
    result = run(data)
    assert [one.small for one in result.splits] == [1, 0]
    objects = pl.read_parquet(data.parent.parent / "attempt-1" / "objects.parquet")
    assert len(objects) == sum(one.instances for one in result.splits) == 20
    assert objects.filter(pl.col("height") == 0.0999)["class"].to_list() == ["apple"]


def test_the_report_needs_nothing_beside_it(data: Path) -> None:
    label_of(data.parent / TRAIN).write_text(LABEL + "3 0.5 0.5 0.1 0.1")
    result = run(data)
    page = (data.parent.parent / "attempt-1" / "report.html").read_text()
    assert "class out of range" in page
    assert page.count("data:image/png;base64,") == 4
    assert page.count("data:image/jpeg;base64,") == 1
    assert 'src="http' not in page
    assert {file.name for file in result.files} == {"data.yaml", "report.html", "objects.parquet"}


def test_classes_that_are_not_seen_are_in_the_plot_of_classes(data: Path) -> None:
    """The plot has a bar for each, and its height tells how many there are."""
    for label in data.parent.glob("labels/*/*.txt"):
        label.write_text("0 0.5 0.5 0.1 0.1\n")
    run(data)
    page = (data.parent.parent / "attempt-1" / "report.html").read_text()
    plot = base64.b64decode(page.split("data:image/png;base64,")[1].split('"')[0])
    with Image.open(BytesIO(plot)) as drawn:
        assert drawn.height == int((1.8 + 0.32 * len(NAMES)) * INCH_PX)


def test_names_in_the_report_are_text(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "set", names=["<script>alert(1)</script>", "b", "c"])
    run(data)
    page = (tmp_path / "attempt-1" / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_data_set_that_changed_since_is_refused(data: Path) -> None:
    asked = spec(data)
    write_image(data.parent / TRAIN, 99)
    with pytest.raises(DatasetError, match="have changed since they were enqueued"):
        check.run(asked, Context(data.parent, data.parent))


def test_a_file_that_was_renamed_since_is_refused(data: Path) -> None:
    """The report would say the old name for as long as nothing else changes."""
    asked = spec(data).model_copy(update={"layout_sha256": sha256_of_layout(find_dataset(data))})
    (data.parent / TRAIN).rename(data.parent / "images/train/other.png")
    label_of(data.parent / TRAIN).rename(label_of(data.parent / "images/train/other.png"))
    assert spec(data).dataset_sha256 == asked.dataset_sha256
    with pytest.raises(DatasetError, match="have changed since they were enqueued"):
        check.run(asked, Context(data.parent, data.parent))


def test_an_image_outside_the_roots_is_refused(data: Path, tmp_path: Path) -> None:
    outside = write_image(tmp_path / "outside.png", 99)
    os.symlink(outside, data.parent / "images/train/link.png")
    with pytest.raises(UsageError, match="lies outside the allowed folders"):
        check.run(spec(data), Context(data.parent, data.parent, roots=(data.parent,)))


def test_a_check_can_be_stopped(data: Path) -> None:
    with pytest.raises(Stopped):
        check.run(spec(data), Context(data.parent, data.parent, stop_wanted=lambda: True))


def test_what_was_found_is_in_the_tables_and_a_second_look_takes_its_place(
    database: Engine, data: Path
) -> None:
    label_of(data.parent / TRAIN).write_text(LABEL + "3 0.5 0.5 0.1 0.1")
    result = run(data)
    asked = spec(data)
    finished(database, asked, result)
    job = finished(database, asked, result)
    with reading(database) as tx:
        [row] = tx.execute(text("SELECT name, sha256, address, job_id FROM datasets")).all()
        assert tuple(row) == ("fruit", asked.dataset_sha256, str(data), job.id)
        totals = "SELECT split, images, instances FROM dataset_splits ORDER BY split"
        assert tx.execute(text(totals)).all() == [("train", 4, 12), ("val", 2, 6)]
        by_class = "SELECT SUM(instances) FROM dataset_classes WHERE class = 'apple'"
        assert tx.scalar(text(by_class)) == 6
        found = "SELECT number, kind, severity, split, count FROM dataset_findings"
        assert tx.execute(text(found)).all() == [(1, "class out of range", "error", "train", 1)]
        files = "SELECT name FROM job_files WHERE job_id = :job ORDER BY name"
        names = list(tx.scalars(text(files), {"job": job.id}))
    assert names == ["data.yaml", "objects.parquet", "report.html"]


def test_a_result_names_its_files_by_content(data: Path) -> None:
    result = run(data)
    folder = data.parent.parent / "attempt-1"
    assert result.files == tuple(FileFacts.of(folder / file.name) for file in result.files)

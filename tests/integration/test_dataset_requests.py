"""What a check is asked for: a YAML file as it is now, and not only the images it stands for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

import producer
from db import jobs, results
from db.errors import DatasetError
from db.settings import Settings
from db.specs import CheckSpec
from producer.cli import app
from producer.dataset_checks import Dataset, checked_by
from tests.labelled import label_of, write_dataset
from tests.recorded import WORKER, register_model
from worker.context import Context
from worker.jobs import check

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Checked = Callable[..., Dataset]


@pytest.fixture
def checked(configured: Settings, database: Engine) -> Checked:
    """Have a data set checked, by a worker if there is something to do."""

    def _checked(data: Path, name: str | None = None, *, new: bool = True) -> Dataset:
        asked = producer.check_dataset(data, name)
        assert asked.new is new
        if new:
            _work(database, asked.job.id, configured.home)
        return checked_by(asked.job.id)

    return _checked


def _work(database: Engine, job_id: int, home: Path) -> None:
    with database.begin() as tx:
        lease = jobs.claim(tx, job_id, WORKER, 60)
    assert lease is not None
    spec = lease.job.parsed_spec
    assert isinstance(spec, CheckSpec)
    folder = home / f"attempt-of-{job_id}"
    folder.mkdir(parents=True)
    result = check.run(spec, Context(home, folder))
    with database.begin() as tx:
        jobs.finish(tx, lease)
        results.write(tx, lease.job, result)


def written(root: Path, **options: Any) -> Path:
    """A data set without objects, of which no plots are drawn: that takes a second a time."""
    data = write_dataset(root, **options)
    for label in (root / "labels").rglob("*.txt"):
        label.write_text("")
    return data


def said(found: Dataset) -> list[str]:
    """What is found in its files, beside that there are no objects."""
    kinds = ("repaired", "label without image")
    return sorted(
        said for one in found.findings for said in one["examples"] if one["kind"] in kinds
    )


def test_a_file_that_was_mended_is_checked_again(checked: Checked, tmp_path: Path) -> None:
    data = written(tmp_path / "fruit", nc=5)
    lone = label_of(tmp_path / "fruit/images/train/lone.png")
    lone.write_text("")
    assert said(checked(data)) == [str(lone), "`nc` is 5, but there are 3 names: the names count"]
    data.write_text(data.read_text().replace("nc: 5", "nc: 3"))
    assert said(checked(data)) == [str(lone)]
    lone.unlink()
    mended = checked(data)
    assert said(mended) == []
    assert checked(data, new=False) == mended


def test_each_name_and_file_of_the_same_images_is_answered_for_itself(
    checked: Checked, tmp_path: Path
) -> None:
    data = written(tmp_path / "fruit")
    first = checked(data)
    other = tmp_path / "fruit" / "other.yaml"
    other.write_text(data.read_text() + "nc: 5\n")
    second = checked(other)
    assert (second.sha256, second.address, second.name) == (first.sha256, str(other), "other")
    assert said(second) == ["`nc` is 5, but there are 3 names: the names count"]
    third = checked(data, "third")
    assert (third.sha256, said(third)) == (first.sha256, [])
    assert producer.datasets() == [third], "the same content is one data set"
    assert producer.dataset("third") == producer.dataset(first.sha256[:8]) == third
    with pytest.raises(DatasetError, match="replaced by another check of the same content"):
        checked_by(first.job_id or 0)
    again = checked(data)
    assert (again.name, again.address) == (first.name, first.address)
    assert again.job_id != first.job_id


@pytest.mark.usefixtures("configured", "database")
def test_too_few_digits_of_a_content_are_said_to_be_that() -> None:
    with pytest.raises(DatasetError, match="or 8 digits or more of a content"):
        producer.dataset("24f26b")


def test_a_job_of_old_is_still_read_and_run(
    configured: Settings, database: Engine, tmp_path: Path
) -> None:
    data = written(tmp_path / "fruit")
    asked = producer.check_dataset(data).job
    old: dict[str, Any] = {key: asked.spec[key] for key in asked.spec if key != "layout_sha256"}
    spec = CheckSpec.model_validate(old)
    assert spec.layout_sha256 is None
    result = check.run(spec, Context(configured.home, tmp_path))
    assert [one.images for one in result.splits] == [4, 2]


def test_each_repair_is_a_line(checked: Checked, tmp_path: Path) -> None:
    names = {0: "apple", 1: "banana", 2: "orange", 5: "pear"}
    moved = {"train": "../images/train", "val": None, "valid": "../images/val", "test": "x"}
    data = written(tmp_path / "fruit", nc=9, names=names, **moved)
    repairs = said(checked(data))
    assert len(repairs) == 6
    shown = CliRunner().invoke(app, ["dataset", "show", "fruit"]).stdout
    lines = [line.split() for line in shown.splitlines() if " repaired " in line]
    assert sorted(" ".join(line[4:]) for line in lines) == repairs
    assert {line[3] for line in lines} == {"1"}


def test_a_split_that_is_named_in_vain_is_refused_by_those_who_need_it(
    configured: Settings, database: Engine, tmp_path: Path
) -> None:
    register_model(database, "products", ["apple", "banana"], configured.home)
    export = write_dataset(tmp_path / "export", test="../test/images")
    assert producer.train(export, "yolov8n.yaml", "fruit").new
    assert producer.evaluate("products", export).new
    with pytest.raises(DatasetError, match=r"`test` names \.\./test/images, which is not there"):
        producer.evaluate("products", export, split="test")
    data = write_dataset(tmp_path / "fruit", val="images/holdout")
    why = "`val` names images/holdout, which is not there"
    with pytest.raises(DatasetError, match=why):
        producer.train(data, "yolov8n.yaml", "fruit")
    with pytest.raises(DatasetError, match=why):
        producer.evaluate("products", data)
    assert producer.evaluate("products", data, split="train").new


@pytest.mark.usefixtures("configured", "database")
def test_other_jobs_say_what_had_to_be_put_right(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_dataset(tmp_path / "shop")
    data.write_text(f"{data.read_text()}nc: 9\ntest: ../test/images\n")
    producer.train(data, "yolov8n.yaml", "shop")
    assert f"{data}: `nc` is 9, but there are" in caplog.text
    assert "../test/images, which is not there: left out" in caplog.text

"""`nightshelf dataset` and `nightshelf evaluate`, as they are typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.dialect import reading
from demo.dataset import Shoot
from demo.dataset import write_dataset as rendered
from tests.broken_datasets import BREAKAGES
from tests.deployment import WEIGHTS, Deployment, deployment
from tests.labelled import label_of, write_dataset
from tests.servers import Valkey

pytestmark = pytest.mark.slow


@pytest.fixture
def house(home: Path, database_url: str, broker: Valkey) -> Iterator[Deployment]:
    with deployment(home, database_url, broker.url) as made:
        made.start("worker")
        made.start("reconcile")
        yield made


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_data_set_is_checked_listed_and_shown_and_the_exit_code_tells_how_it_is(
    house: Deployment, tmp_path: Path
) -> None:
    data = write_dataset(tmp_path / "fruit")
    said = house.cli("dataset", "check", str(data), "--wait")
    assert "Nothing is wrong with it." in said
    assert "report.html" in said
    assert "already done" in house.cli("dataset", "check", str(data))

    label = label_of(tmp_path / "fruit/images/train/train0.png")
    label.unlink()
    found = house.cli_json("dataset", "check", str(data), "--wait", code=3)
    assert [one["kind"] for one in found["findings"]] == ["image without label"]
    label.write_text("7 0.5 0.5 0.1 0.1")
    said = house.cli("dataset", "check", str(data), "--wait", code=4)
    assert "class out of range" in said
    assert f"{label}, line 1" in said.replace("\n", "")

    known = house.cli_json("dataset", "list")
    assert [(one["name"], len(one["splits"])) for one in known] == [("fruit", 2)] * 3
    assert house.cli_json("dataset", "show", "fruit")["findings"][0]["severity"] == "error"
    assert house.cli_json("dataset", "show", found["sha256"][:12])["sha256"] == found["sha256"]
    assert "no data set 'nuts' was checked (there are: fruit)" in house.cli(
        "dataset", "show", "nuts", code=1
    )
    BREAKAGES["latin name"][0](data.parent / "images/train/train1.png")
    found = house.cli_json("dataset", "check", str(data), "--wait", code=4)
    assert "file name that is not UTF-8" in {one["kind"] for one in found["findings"]}
    data.write_text("train: [")
    assert "is no YAML" in house.cli("dataset", "check", str(data), "--wait", code=1)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_export_without_a_test_is_checked_as_its_file_says_now(
    house: Deployment, tmp_path: Path
) -> None:
    def check(code: int, *options: str) -> dict[str, Any]:
        found: dict[str, Any] = house.cli_json(
            "dataset", "check", str(data), *options, "--wait", code=code
        )
        return found

    moved = {split: f"../{split}/images" for split in ("train", "val", "test")}
    data = write_dataset(tmp_path / "export", None, "{split}/images", nc=5, **moved)
    [found] = check(3)["findings"]
    assert (found["kind"], found["count"]) == ("repaired", 4)
    assert "`test` names ../test/images, which is not there: left out" in found["examples"]
    data.write_text(data.read_text().replace("nc: 5", "nc: 3"))
    [mended] = check(3, "--name", "other")["findings"]
    assert mended["examples"] == found["examples"][1:]
    said = house.cli("dataset", "show", "other")
    assert said.count(" repaired ") == 3
    data.write_text(data.read_text().replace("../val/images", "val/pictures"))
    kinds = [(one["severity"], one["kind"]) for one in check(4)["findings"]]
    assert kinds == [("error", "missing split"), ("warning", "repaired")]
    refused = house.cli("train", str(data), "--base", "yolov8n.yaml", "--name", "x", code=1)
    assert "`val` names val/pictures, which is not there" in refused


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_model_is_measured_and_the_numbers_are_printed_and_in_sql(
    house: Deployment, tmp_path: Path
) -> None:
    shoot = Shoot("val", first_seed=90_000, belts=1, shelves=0, frames=4)
    data = rendered(tmp_path / "scenes", (shoot,))
    house.cli("models", "add", str(WEIGHTS), "--name", "products")
    arguments = ("evaluate", "products", str(data), "--imgsz", "320")
    said = house.cli(*arguments, "--wait")
    assert "map50_95" in said
    found = house.cli_json(*arguments, "--wait")
    with reading(house.database) as tx:
        row = tx.execute(text("SELECT map50, images FROM evaluations")).one()
    assert (found["metrics"]["map50"], found["metrics"]["images"]) == tuple(row)
    assert found["metrics"]["images"] == 4
    assert {one["class"] for one in found["classes"]} >= {"apple", "banana"}
    assert "has no test: it has val" in house.cli(*arguments, "--split", "test", code=1)
    BREAKAGES["one name twice"][0](data.parent / "images/val/any.png")
    assert "calls both class 0 and class 5 apple" in house.cli(*arguments, code=1)
    assert "no model is registered as 'coco'" in house.cli("evaluate", "coco", str(data), code=1)

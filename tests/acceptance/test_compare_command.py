"""`nightshelf compare`, and what `evaluate` says of errors and confidences, as they are typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db.dialect import reading
from demo.dataset import Shoot, write_dataset
from tests.deployment import WEIGHTS, Deployment, deployment
from tests.servers import Valkey
from tests.shaken import shaken

pytestmark = pytest.mark.slow


@pytest.fixture
def house(home: Path, database_url: str, broker: Valkey) -> Iterator[Deployment]:
    with deployment(home, database_url, broker.url) as made:
        made.start("worker")
        made.start("reconcile")
        yield made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    shoot = Shoot("val", first_seed=90_000, belts=1, shelves=1, frames=6)
    return write_dataset(tmp_path / "scenes", (shoot,))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_models_are_compared_and_the_verdict_is_printed_and_in_sql(
    house: Deployment, data: Path, tmp_path: Path
) -> None:
    house.cli("models", "add", str(WEIGHTS), "--name", "products")
    house.cli("models", "add", str(shaken(tmp_path / "shaken.pt")), "--name", "shaken")
    first, second = (f"{one['name']}@{one['version']}" for one in house.cli_json("models", "list"))
    arguments = ("compare", second, first, "--data", str(data), "--imgsz", "320")
    said = house.cli(*arguments, "--wait")
    assert "better" in said
    assert "report.html" in said
    found = house.cli_json(*arguments, "--wait")
    assert [one["model"] for one in found["models"]] == [second, first]
    assert found["models"][1]["metrics"]["map50_low"] > 0
    assert "already done" in house.cli(*arguments)
    with reading(house.database) as tx:
        rows = tx.execute(text("SELECT position, map50 FROM comparison_models ORDER BY 1")).all()
        errors = tx.execute(text("SELECT count(*) FROM comparison_errors")).scalar()
    assert [tuple(row) for row in rows] == [
        (place, one["metrics"]["map50"]) for place, one in enumerate(found["models"])
    ]
    assert errors == 12

    refused = (
        ("are the same model", "compare", first, first),
        ("no model has a class 'aple': did you mean apple", *arguments[:3], "--map", "aple=apple"),
        ("--map takes MODELCLASS=DATASETCLASS", *arguments[:3], "--map", "apple"),
        ("--at takes a confidence or `best`", *arguments[:3], "--at", "most"),
        ("has no test: it has val", *arguments[:3], "--split", "test"),
        ("match_iou must be one of 0.5, 0.55", *arguments[:3], "--match-iou", "0.3"),
    )
    for why, *words in refused:
        assert why in house.cli(*words, "--data", str(data), code=1), why


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_evaluation_names_the_confidence_that_reaches_a_precision(
    house: Deployment, data: Path
) -> None:
    house.cli("models", "add", str(WEIGHTS), "--name", "products")
    arguments = ("evaluate", "products", str(data), "--imgsz", "320", "--wait")
    said = house.cli(*arguments, "--precision", "0.5")
    assert "poor localisation" in said
    assert "precision 0.5" in said
    found = house.cli_json(*arguments, "--precision", "0.5")
    assert found["operating_point"]["precision"] >= 0.5
    assert len(found["errors"]) == 6
    [page] = [one["location"] for one in found["files"] if one["name"] == "report.html"]
    assert "mAP" in Path(page).read_text()
    refused = house.cli(*arguments, "--precision", "2", code=1)
    assert "a precision is above 0 and at most 1" in refused
    refused = house.cli(*arguments[:-1], "--precision", "0.5", code=1)
    assert "say --wait, too" in refused

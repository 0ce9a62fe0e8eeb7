"""`nightshelf dataset`, as it is typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment import Deployment, deployment
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
    data.write_text("train: [")
    assert "is no YAML" in house.cli("dataset", "check", str(data), "--wait", code=1)

"""A real data set of fruit, as it is and with each thing broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from db.dataset_files import find_dataset, sha256_of_dataset
from db.specs import CheckSpec
from tests.broken_datasets import BREAKAGES
from worker.context import Context
from worker.datasets.examination import examine
from worker.datasets.problems import summed_up
from worker.jobs import check


@pytest.fixture
def fruit(shared: Path, tmp_path: Path) -> Path:
    """The `data.yaml` of a copy."""
    copy = tmp_path / "fruit"
    shutil.copytree(shared / "data" / "fruit", copy, copy_function=shutil.copyfile)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return copy / "data.yaml"


def test_fruit_is_clean_and_has_the_boxes_that_were_counted_by_hand(
    fruit: Path, tmp_path: Path
) -> None:
    digest = sha256_of_dataset(find_dataset(fruit), lambda done, total: None)
    folder = tmp_path / "attempt-1"
    folder.mkdir()
    spec = CheckSpec(name="fruit", data=str(fruit), dataset_sha256=digest)
    result = check.run(spec, Context(tmp_path, folder))
    assert result.findings == ()
    assert [(one.split, one.images, one.background) for one in result.splits] == [
        ("train", 240, 0),
        ("val", 60, 0),
    ]
    assert [(one.class_name, one.instances) for one in result.classes] == [
        *(("apple", 156), ("banana", 169), ("orange", 140)),
        *(("apple", 35), ("banana", 40), ("orange", 42)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAKAGES)
def test_what_is_broken_in_fruit_is_found_and_nothing_else(fruit: Path, name: str) -> None:
    break_it, found = BREAKAGES[name]
    break_it(sorted((fruit.parent / "images/train").iterdir())[0])
    findings = summed_up(examine(find_dataset(fruit), lambda done: None).problems)
    assert [(one.severity, one.kind, one.split, one.count) for one in findings] == found

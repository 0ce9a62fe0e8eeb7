"""Data sets as people really have them, found by their YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from db.dataset_files import find_dataset, sha256_of_dataset
from db.errors import DatasetError
from tests.labelled import NAMES, label_of, write_dataset, write_image


def sha256(data: Path) -> str:
    return sha256_of_dataset(find_dataset(data), lambda done, total: None)


def counts(data: Path) -> dict[str, int]:
    return {split: len(images) for split, images in find_dataset(data).splits.items()}


def test_a_sound_data_set_needs_no_repair(tmp_path: Path) -> None:
    found = find_dataset(write_dataset(tmp_path))
    assert found.class_names == tuple(NAMES)
    assert {split: len(images) for split, images in found.splits.items()} == {"train": 4, "val": 2}
    assert found.repairs == ()


@pytest.mark.parametrize(
    ("layout", "content"),
    [
        ("images/{split}", {"path": "."}),
        ("images/{split}", {"path": None}),
        ("{split}/images", {}),
        ("images/{split}", {"names": dict(enumerate(NAMES)), "nc": 3}),
        ("images/{split}", {"names": {str(n): name for n, name in enumerate(NAMES)}}),
        ("images/{split}", {"train": ["images/train"]}),
    ],
    ids=["path", "no path", "split first", "mapping", "mapping of strings", "list of folders"],
)
def test_what_ultralytics_takes_is_no_repair(
    tmp_path: Path, layout: str, content: dict[str, Any]
) -> None:
    found = find_dataset(write_dataset(tmp_path, layout=layout, **content))
    assert (found.class_names, found.repairs) == (tuple(NAMES), ())


def test_an_absolute_path_is_taken(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "set")
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text(data.read_text() + f"path: {tmp_path / 'set'}\n")
    assert find_dataset(elsewhere).repairs == ()


@pytest.mark.parametrize(
    ("layout", "content", "says"),
    [
        ("{split}/images", {"train": "../train/images"}, "`train` is not"),
        ("images/{split}", {"path": "/home/somebody/fruit"}, "`train` is not /home/somebody/fruit"),
        ("images/{split}", {"train": "/home/somebody/fruit/images/train"}, "`train` is not /home"),
        ("images/{split}", {"train": None}, "`train` is missing: it is"),
        ("{split}/images", {"val": None}, "`val` is missing: it is"),
        ("images/{split}", {"val": None, "valid": "images/val"}, "the split `valid` is called"),
        ("images/{split}", {"nc": 80}, "`nc` is 80, but there are 3 names"),
        ("images/{split}", {"names": None, "nc": 3}, "`names` is missing: the 3 classes"),
        ("images/{split}", {"names": {0: "apple", 2: "orange"}}, "`names` has no class 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_in_the_file_is_put_right_and_said(
    tmp_path: Path, layout: str, content: dict[str, Any], says: str
) -> None:
    data = write_dataset(tmp_path, layout=layout, **content)
    before = data.read_bytes()
    found = find_dataset(data)
    assert counts(data) == {"train": 4, "val": 2}
    assert any(says in repair for repair in found.repairs), found.repairs
    assert data.read_bytes() == before
    mended = tmp_path / "mended.yaml"
    mended.write_text(found.repaired())
    again = find_dataset(mended)
    assert again.repairs == ()
    assert (again.splits, again.class_names) == (found.splits, found.class_names)


def test_a_list_of_images_is_read(tmp_path: Path) -> None:
    data = write_dataset(tmp_path, train="train.txt")
    (tmp_path / "train.txt").write_text("./images/train/train0.png\n\nimages/train/gone.png\n")
    assert [path.name for path in find_dataset(data).splits["train"]] == ["gone.png", "train0.png"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("train: [", "is no YAML: .* in line 1"),
        ("just words", "is no data.yaml: it must map"),
        ("names: [apple]", "names neither `train` nor `val`"),
        ("train: images\nval: images", "has no `names`"),
        ("train: nowhere\nnames: [apple]", "`train` is not there: .*nowhere"),
        ("train: empty\nnames: [apple]", "there are no images in `train`"),
        ("train: empty\nnames: []", "`names` is empty"),
        ("train: empty\nnames: apple", "`names` must be a list"),
        ("x: !!python/object/apply:os.system ['touch pwned']", "is no YAML"),
    ],
)
def test_what_stands_for_no_data_set_is_refused_in_one_line(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "empty").mkdir()
    data = tmp_path / "data.yaml"
    data.write_text(text)
    with pytest.raises(DatasetError, match=says) as refusal:
        find_dataset(data)
    assert "\n" not in str(refusal.value)
    assert str(data) in str(refusal.value)


def test_bytes_are_no_yaml(tmp_path: Path) -> None:
    data = tmp_path / "data.yaml"
    data.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="it is not UTF-8 text"):
        find_dataset(data)


def test_the_same_content_is_the_same_data_set_wherever_it_lies(tmp_path: Path) -> None:
    one = write_dataset(tmp_path / "one")
    other = write_dataset(tmp_path / "other", layout="{split}/images", nc=5)
    assert sha256(one) == sha256(other)


def test_whatever_training_sees_changes_the_content(tmp_path: Path) -> None:
    data = write_dataset(tmp_path)
    seen = {sha256(data)}
    label_of(tmp_path / "images/train/train0.png").write_text("0 0.5 0.5 0.1 0.1\n")
    seen.add(sha256(data))
    write_image(tmp_path / "images/val/val0.png", 99)
    seen.add(sha256(data))
    (tmp_path / "images/train/train0.png").rename(tmp_path / "images/val/moved.png")
    seen.add(sha256(data))
    data.write_text(data.read_text().replace("apple", "pear"))
    seen.add(sha256(data))
    assert len(seen) == 5

"""Data sets as people really have them, found by their YAML file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from db.dataset_files import find_dataset, sha256_of_dataset, sha256_of_layout
from db.errors import DatasetError
from tests.labelled import LABEL, NAMES, label_of, write_dataset, write_image


def sha256(data: Path) -> str:
    return sha256_of_dataset(find_dataset(data), lambda done, total: None)


def layout_sha256(data: Path) -> str:
    return sha256_of_layout(find_dataset(data))


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
        (
            "images/{split}",
            {"names": {0: "apple", 2: "orange", 4: "pear"}},
            "`names` has no class 1, 3: called class1 …",
        ),
        (
            "{split}/images",
            {"train": "../train/images", "val": "../valid/images", "test": "../test/images"},
            "`test` names ../test/images, which is not there: left out",
        ),
        ("images/{split}", {"test": ["images/val", "x"]}, "`test` names x, which is not there"),
        ("images/{split}", {"test": "empty"}, "there are no images in `test`: .*/empty: left out"),
        ("images/{split}", {"val": "images/valid"}, "`val` is not .*/images/valid, but .*/val"),
        ("images/{split}", {"val": "/home/somebody/fruit/images/valid"}, "but .*/images/val$"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_in_the_file_is_put_right_and_said(
    tmp_path: Path, layout: str, content: dict[str, Any], says: str
) -> None:
    (tmp_path / "empty").mkdir()
    data = write_dataset(tmp_path, layout=layout, **content)
    before = data.read_bytes()
    found = find_dataset(data)
    assert counts(data) == {"train": 4, "val": 2}
    assert any(re.search(says, repair) for repair in found.repairs), found.repairs
    assert data.read_bytes() == before
    mended = tmp_path / "mended.yaml"
    mended.write_text(found.repaired())
    again = find_dataset(mended)
    assert again.repairs == ()
    assert (again.splits, again.class_names) == (found.splits, found.class_names)


@pytest.mark.parametrize("layout", ["images/{split}", "{split}/images"])
def test_roboflows_splits_are_found_by_their_names(tmp_path: Path, layout: str) -> None:
    """Its paths lead out of the folder, to where another data set may lie."""
    said = {split: f"../{layout.format(split=split)}" for split in ("train", "valid", "test")}
    said["val"] = said.pop("valid")
    data = write_dataset(tmp_path / "set", {"train": 4, "valid": 2}, layout, valid=None, **said)
    assert counts(data) == {"train": 4, "val": 2}


@pytest.mark.parametrize("layout", ["images/{split}", "{split}/images"])
def test_a_split_that_is_not_there_is_no_folder_of_all_splits(tmp_path: Path, layout: str) -> None:
    for named in ("../test/images", "images/test", "/home/somebody/fruit/test/images"):
        data = write_dataset(tmp_path, layout=layout, test=named)
        assert counts(data) == {"train": 4, "val": 2}


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("images/holdout", "`{split}` names images/holdout, which is not there"),
        ("empty", "there are no images in `{split}`: .*/empty"),
    ],
)
def test_a_split_that_is_named_in_vain_is_missing_and_who_needs_it_is_told(
    tmp_path: Path, split: str, named: str, says: str
) -> None:
    (tmp_path / "empty").mkdir()
    data = write_dataset(tmp_path, None, "images/{split}", **{split: named})
    found = find_dataset(data)
    [other] = found.splits
    assert other != split
    assert found.repairs == ()
    assert found.images(other)
    with pytest.raises(DatasetError, match=says.format(split=split)) as refusal:
        found.images(split)
    assert "\n" not in str(refusal.value)
    assert str(data) in str(refusal.value)


def test_a_list_of_images_is_read(tmp_path: Path) -> None:
    data = write_dataset(tmp_path, train="train.txt")
    (tmp_path / "train.txt").write_text("./images/train/train0.png\n\nimages/train/gone.png\n")
    assert [path.name for path in find_dataset(data).splits["train"]] == ["gone.png", "train0.png"]


def test_two_classes_of_one_name_can_be_looked_at_and_not_used(tmp_path: Path) -> None:
    found = find_dataset(write_dataset(tmp_path, names=["apple", "pear", "apple"]))
    says = "data.yaml calls both class 0 and class 2 apple: make them one, or give one of them"
    with pytest.raises(DatasetError, match=says):
        found.images("train")


def test_an_image_whose_name_is_not_utf8_can_be_looked_at_and_not_used(tmp_path: Path) -> None:
    data = write_dataset(tmp_path)
    image = os.fsencode(tmp_path / "images/train/train0.png")
    os.rename(image, image.replace(b"train0", b"caf\xe9"))
    found = find_dataset(data)
    with pytest.raises(DatasetError, match=r"caf\\udce9.png is not UTF-8: rename") as refusal:
        found.images("train")
    assert str(refusal.value).isprintable()
    assert len(found.images("val")) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("train: [", "is no YAML: .* in line 1"),
        ("just words", "is no data.yaml: it must map"),
        ("names: [apple]", "names neither `train` nor `val`"),
        ("train: images\nval: images", "has no `names`"),
        ("train: nowhere\nnames: [apple]", "`train` names nowhere, which is not there"),
        ("val: nowhere\nnames: [apple]", "`val` names nowhere, which is not there"),
        ("train: empty\nnames: [apple]", "there are no images in `train`"),
        ("train: empty\nnames: []", "`names` is empty"),
        ("train: empty\nnames: {}", "`names` is empty"),
        ("train: empty\nnames: {1000000000: a}", "a class 1000000000, and 100000 are the most"),
        ("train: empty\nnc: 1000000000", "has no `names`"),
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


def test_whatever_a_report_says_beside_the_content_changes_the_layout(tmp_path: Path) -> None:
    data = write_dataset(tmp_path, nc=5)
    content, seen = sha256(data), {layout_sha256(data)}
    data.write_text(data.read_text().replace("nc: 5", "nc: 3"))
    seen.add(layout_sha256(data))
    lone = label_of(tmp_path / "images/train/lone.png")
    lone.write_text(LABEL)
    seen.add(layout_sha256(data))
    lone.unlink()
    (tmp_path / "images/val").rename(tmp_path / "images/valid")
    (tmp_path / "labels/val").rename(tmp_path / "labels/valid")
    seen.add(layout_sha256(data))
    (tmp_path / "images/train/train0.png").rename(tmp_path / "images/train/other.png")
    label_of(tmp_path / "images/train/train0.png").rename(
        label_of(tmp_path / "images/train/other.png")
    )
    seen.add(layout_sha256(data))
    assert len(seen) == 5
    assert sha256(data) == content

"""Which images sources stand for, and what these are together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from db.errors import UsageError
from db.image_files import find_images, sha256_of_images
from db.settings import Settings
from producer.predicting import predict
from tests.deployment import WEIGHTS
from tests.labelled import write_image
from tests.recorded import register_model


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    folder = tmp_path / "stills"
    for seed, name in enumerate(("b.png", "a.jpg", "aisle 3/c.PNG", "aisle 3/deep/d.webp")):
        write_image(folder / name, seed)
    (folder / "notes.txt").write_text("no image")
    return folder


def names(root: Path, *sources: Path | str) -> tuple[str, ...]:
    return find_images([str(one) for one in sources], (root,)).names


ALL = ("a.jpg", "aisle 3/c.PNG", "aisle 3/deep/d.webp", "b.png")


def test_a_folder_is_all_images_below_it_by_name(stills: Path, tmp_path: Path) -> None:
    found = find_images([str(stills)], (tmp_path,))
    assert (found.folder, found.names) == (stills, ALL)


def test_a_glob_is_what_it_matches_and_all_below_a_folder_that_it_does(
    stills: Path, tmp_path: Path
) -> None:
    assert names(tmp_path, stills / "*.png") == ("b.png",)
    assert names(tmp_path, stills / "aisle ?") == ALL[1:3]
    assert names(tmp_path, stills / "**/*.webp") == ("aisle 3/deep/d.webp",)


def test_brackets_in_the_name_of_a_folder_are_no_pattern(tmp_path: Path) -> None:
    write_image(tmp_path / "aisle [3]" / "a.png", 1)
    assert names(tmp_path, tmp_path / "aisle [3]") == ("a.png",)
    assert names(tmp_path, tmp_path / "aisle [3]" / "*.png") == ("a.png",)


def test_names_are_relative_to_what_several_sources_share(stills: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "more" / "b.png", 9)
    found = find_images([str(stills / "b.png"), str(stills), str(tmp_path / "more")], (tmp_path,))
    assert found.folder == tmp_path
    assert found.names == ("more/b.png", *(f"stills/{name}" for name in ALL))


def test_a_file_that_is_named_itself_is_taken_whatever_its_name(
    stills: Path, tmp_path: Path
) -> None:
    assert names(tmp_path, stills / "notes.txt") == ("notes.txt",)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("none", r"no such file: .*/none$"),
        ("none/*.jpg", r"nothing matches .*/none/\*.jpg"),
        ("empty", r"no images in folder .*/empty \(looked for .bmp"),
        ("../outside.png", "lies outside the allowed folders"),
    ],
)
def test_no_image_is_refused_in_one_line(
    stills: Path, tmp_path: Path, source: str, why: str
) -> None:
    (stills / "empty").mkdir()
    write_image(tmp_path / "outside.png", 1)
    with pytest.raises(UsageError, match=why):
        names(stills, stills / source)


def test_what_cannot_be_taken_is_left_out_of_a_folder_and_told(
    stills: Path, tmp_path: Path
) -> None:
    (stills / "link.png").symlink_to(write_image(tmp_path / "outside.png", 1))
    (stills / "inside.png").symlink_to(stills / "b.png")
    (stills / "dangling.png").symlink_to(stills / "nothing")
    Path(str(stills / "caf\udce9.png")).touch()
    told: list[str] = []
    found = find_images([str(stills)], (stills,), told.append)
    assert found.names == (*ALL, "inside.png")
    assert len(told) == 2
    assert "is not UTF-8: rename the file" in told[0]
    assert "link.png lies outside the allowed folders" in told[1]


def test_the_digest_is_of_names_and_contents_and_not_of_the_place(
    stills: Path, tmp_path: Path
) -> None:
    def digest(folder: Path) -> str:
        read: list[int] = []
        found = find_images([str(folder)], (tmp_path,))
        result = sha256_of_images(found, read.append)
        assert read == list(range(1, len(found.names) + 1))
        return result

    moved = tmp_path / "elsewhere" / "kept"
    shutil.copytree(stills, moved)
    original = digest(stills)
    assert digest(moved) == original
    (moved / "a.jpg").rename(moved / "z.jpg")
    assert digest(moved) != original
    (moved / "z.jpg").rename(moved / "a.jpg")
    assert digest(moved) == original
    shutil.copyfile(moved / "b.png", moved / "a.jpg")
    assert digest(moved) != original


def test_one_job_is_made_for_all_images_whatever_their_number(
    configured: Settings, stills: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from db.dialect import engine

    register_model(engine(configured.database), "fruit", ("apple", "banana"), configured.home)
    monkeypatch.chdir(stills.parent)
    told: list[tuple[int, int]] = []
    first = predict(["stills"], "fruit", classes=["banana"], on_read=lambda *it: told.append(it))
    assert first.job.spec["sources"] == [str(stills)]
    assert first.job.label == "stills with fruit@1"
    assert told == [(number, 4) for number in range(1, 5)]
    again = predict(["../" + stills.parent.name + "/stills"], "fruit@1", classes=["banana"])
    assert (again.job.id, again.new) == (first.job.id, False)
    other = predict(["stills/*.png", "stills/a.jpg"], "fruit", classes=["banana"])
    assert other.new
    assert other.job.label == "*.png and 1 more with fruit@1"


@pytest.mark.parametrize(
    ("sources", "options", "why"),
    [
        ([""], {}, "is a variable unset"),
        ([], {}, "sources: .*at least 1 item"),
        ([str(WEIGHTS)], {"classes": ["banan"]}, "did you mean banana"),
        ([str(WEIGHTS)], {"imgsz": 100}, "imgsz: .*multiple of 32"),
    ],
)
def test_what_cannot_be_is_refused_before_an_image_is_read(
    configured: Settings, sources: list[str], options: dict[str, object], why: str
) -> None:
    from db.dialect import engine

    register_model(engine(configured.database), "fruit", ("apple", "banana"), configured.home)
    with pytest.raises(UsageError, match=why):
        predict(sources, "fruit", **options)  # type: ignore[arg-type]

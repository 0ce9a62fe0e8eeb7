"""From what was typed to the files that are meant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from db.errors import UsageError
from db.settings import Settings, settings
from producer.inputs import find_videos

NAMES = ["aisle 4.mp4", 'it\'s "new".mov', "🍎 apfel.mkv", "[1].mp4", "-v.mp4", "UPPER.MP4"]

pytestmark = [
    pytest.mark.usefixtures("configured"),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """A folder of videos, some of them below it, and of other files."""
    folder = tmp_path / "footage"
    (folder / "2025" / "may").mkdir(parents=True)
    for name in [*NAMES, "2025/a.mp4", "2025/may/b.avi", "notes.txt", "2025/thumbs.db"]:
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_found_whatever_its_name(footage: Path, name: str) -> None:
    assert find_videos([str(footage / name)]) == [footage / name]


def test_a_file_that_is_named_itself_needs_no_videos_name(footage: Path) -> None:
    assert find_videos([footage / "notes.txt"]) == [footage / "notes.txt"]


def test_a_folder_stands_for_the_videos_in_it_and_below(footage: Path) -> None:
    found = find_videos([str(footage)])
    assert {path.relative_to(footage).as_posix() for path in found} == {
        *NAMES,
        "2025/a.mp4",
        "2025/may/b.avi",
    }
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.mkv", ["🍎 apfel.mkv"]),
        ("**/*.avi", ["2025/may/b.avi"]),
        ("202?", ["2025/a.mp4", "2025/may/b.avi"]),
        ("[[]1].mp4", ["[1].mp4"]),
    ],
)
def test_a_glob_stands_for_what_it_matches(footage: Path, pattern: str, names: list[str]) -> None:
    assert find_videos([f"{footage}/{pattern}"]) == [footage / name for name in names]


def test_each_video_is_taken_once_in_the_order_of_the_first_mention(footage: Path) -> None:
    found = find_videos(
        [footage / "2025/may/b.avi", footage / "2025", f"{footage}/2025/*.mp4", footage / "2025"]
    )
    assert found == [footage / "2025/may/b.avi", footage / "2025/a.mp4"]


def test_a_link_is_followed_to_the_file_that_it_means(footage: Path, tmp_path: Path) -> None:
    link = tmp_path / "today.mp4"
    link.symlink_to(footage / "2025" / "a.mp4")
    assert find_videos([link, footage / "2025" / "a.mp4"]) == [footage / "2025" / "a.mp4"]


def test_a_relative_path_is_made_absolute(footage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(footage)
    assert find_videos(["2025/../2025/a.mp4"]) == [footage / "2025" / "a.mp4"]


def test_the_users_home_is_known(footage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(footage))
    assert find_videos(["~/2025"]) == find_videos([footage / "2025"])


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("gone.mp4", "no such file: .*gone.mp4"),
        ("*.webm", r"nothing matches .*\*\.webm"),
        ("empty", "no videos in folder .*empty .looked for .*mp4"),
        ("queue.mp4", "not a regular file: .*queue.mp4"),
        ("broken.mp4", "no such file: .*broken.mp4"),
        ("brok*", "no such file: .*broken.mp4"),
        ("", "an empty name is no video"),
    ],
)
def test_a_source_that_stands_for_nothing_is_refused(
    footage: Path, monkeypatch: pytest.MonkeyPatch, source: str, complaint: str
) -> None:
    (footage / "empty").mkdir()
    (footage / "empty" / "notes.txt").touch()
    os.mkfifo(footage / "queue.mp4")
    (footage / "broken.mp4").symlink_to(footage / "gone.mp4")
    monkeypatch.chdir(footage)
    with pytest.raises(UsageError, match=complaint):
        find_videos([footage / "2025", source])


def test_a_name_that_no_row_can_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"aisle-\xff.mp4")).touch()
    with pytest.raises(UsageError, match=r"aisle-\\udcff\.mp4' is not UTF-8: rename the file"):
        find_videos([tmp_path])


def test_no_source_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="no videos were named"):
        find_videos([])


@pytest.fixture
def roots(configured: Settings, footage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Videos must lie in `2025`, or in a folder that does not exist yet."""
    monkeypatch.setenv("NIGHTSHELF_ROOTS", f"{footage}/2025:{footage}/2026")
    settings.cache_clear()


@pytest.mark.usefixtures("roots")
def test_a_video_below_one_of_the_roots_is_taken(footage: Path) -> None:
    assert len(find_videos([footage / "2025"])) == 2


@pytest.mark.usefixtures("roots")
@pytest.mark.parametrize("way", ["plainly", "by a link", "by dots", "beside, by a like name"])
def test_a_video_outside_the_roots_is_refused_however_it_is_named(footage: Path, way: str) -> None:
    outside = footage / "aisle 4.mp4"
    link = footage / "2025" / "link.mp4"
    link.symlink_to(outside)
    beside = footage / "2025-old"
    beside.mkdir()
    (beside / "a.mp4").touch()
    named = {
        "plainly": outside,
        "by a link": link,
        "by dots": footage / "2025" / ".." / "aisle 4.mp4",
        "beside, by a like name": beside / "a.mp4",
    }[way]
    with pytest.raises(UsageError, match=r"outside the allowed folders .*NIGHTSHELF_ROOTS"):
        find_videos([named])

"""A folder in which one file cannot be taken: the others are, and it is told which was left out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from db.errors import UsageError
from db.settings import Settings, settings
from producer.cli import app
from producer.inputs import find_videos
from tests.recorded import register_model

NOT_UTF8 = os.fsdecode(b"aisle-\xff.mp4")

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Three videos, and one whose name no row can hold."""
    folder = tmp_path / "night"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4", "two\nlines.mp4", NOT_UTF8):
        (folder / name).write_text(repr(name))
    return folder


GOOD = ["a.mp4", "b.mp4", "two\nlines.mp4"]


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("source", ["{}", "{}/*.mp4", "{}/*"])
def test_one_name_does_not_keep_the_others_of_a_folder_or_glob(night: Path, source: str) -> None:
    reasons: list[str] = []
    found = find_videos([source.format(night)], reasons.append)
    assert found == [night / name for name in GOOD]
    assert reasons == [f"the name of {str(night / NOT_UTF8)!r} is not UTF-8: rename the file"]


def test_a_link_out_of_the_roots_does_not_keep_the_others_of_its_folder(
    configured: Settings, night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (night / NOT_UTF8).rename(night.parent / "outside.mp4")
    (night / "link.mp4").symlink_to(night.parent / "outside.mp4")
    monkeypatch.setenv("NIGHTSHELF_ROOTS", str(night))
    settings.cache_clear()
    reasons: list[str] = []
    assert find_videos([night], reasons.append) == [night / name for name in GOOD]
    [reason] = reasons
    assert "link.mp4 lies outside the allowed folders" in reason


@pytest.mark.usefixtures("configured")
def test_what_is_named_itself_is_never_left_out(night: Path) -> None:
    with pytest.raises(UsageError, match="is not UTF-8: rename the file"):
        find_videos([night, night / NOT_UTF8])


@pytest.mark.usefixtures("configured")
def test_without_anybody_to_tell_it_is_logged(
    night: Path, caplog: pytest.LogCaptureFixture
) -> None:
    find_videos([night])
    [record] = caplog.records
    assert record.getMessage().startswith("left out: the name of ")


def test_the_command_says_what_it_left_out_and_goes_on(
    configured: Settings, database: Engine, night: Path
) -> None:
    register_model(database, "fruit", ["apple"], configured.home)
    done = CliRunner().invoke(app, ["track", str(night), "--model", "fruit", "--json"])
    assert done.exit_code == 0, done.output
    left_out, away = done.stderr.splitlines()
    assert left_out.startswith("nightshelf: left out: the name of '")
    assert left_out.endswith("is not UTF-8: rename the file")
    assert "the broker does not answer" in away
    jobs = json.loads(done.stdout)
    assert [job["spec"]["video"] for job in jobs] == [str(night / name) for name in GOOD]

    again = CliRunner().invoke(app, ["track", str(night), "--model", "fruit"])
    assert len(again.stdout.splitlines()) == 3, "a line a job, whatever its file is called"
    assert r"two\nlines.mp4  already queued" in again.stdout

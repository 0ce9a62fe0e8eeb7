"""Bad input to a real deployment: one clear line, a traceback where one was tried, nothing lost."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from db import job_records, schema
from db.dialect import engine, reading
from db.job_records import Attempt
from db.layout import job_address, model_address
from db.states import State
from tests import servers
from tests.clips import cut_off, cut_off_index, write_clip, write_no_frames, write_sound
from tests.deployment import REPOSITORY, WEIGHTS, Deployment, deployment

_QUICKLY = ("--model", "products", "--imgsz", "64")

_TABLES = ("jobs", "job_attempts", "job_files", "models", "videos", "trackings", "tracks")


@pytest.fixture(scope="module")
def site() -> Iterator[Deployment]:
    """A deployment with a worker and a registered model, for all tests of this file."""
    with (
        tempfile.TemporaryDirectory(prefix="ns-", ignore_cleanup_errors=True) as name,
        servers.valkey() as broker,
    ):
        url = f"sqlite:///{name}/test.db"
        schema.upgrade(engine(url))
        with deployment(Path(name), url, broker.url) as made:
            made.start("worker")
            made.cli("models", "add", str(WEIGHTS), "--name", "products")
            yield made


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_clip(path)
    return path


def say(site: Deployment, *arguments: str, code: int, **settings: str) -> str:
    """Run `nightshelf ARGUMENTS`: it must end with this code, and one line on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "producer", *arguments],
        env=site.environment | settings,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    assert done.stderr.count("\n") == 1, done.stderr
    line = done.stderr.rstrip()
    assert line.startswith("nightshelf"), line
    assert "Traceback" not in done.stdout
    return line


def rows(site: Deployment) -> dict[str, int]:
    """How many rows each table has."""
    with reading(site.database) as tx:
        return {table: tx.scalar(text(f"SELECT COUNT(*) FROM {table}")) or 0 for table in _TABLES}


def files(site: Deployment) -> set[Path]:
    """All files and folders of results, detections and models."""
    return {
        path for room in ("jobs", "detections", "models") for path in (site.home / room).rglob("*")
    }


def last_attempts(site: Deployment) -> tuple[int, list[Attempt]]:
    """The newest job, which has failed, and the attempts at it."""
    with reading(site.database) as tx:
        [job] = job_records.listing(tx, limit=1)
        assert job.state is State.FAILED
        return job.id, job_records.attempts(tx, job.id)


@contextmanager
def nothing_left_but(site: Deployment, **more: int) -> Iterator[None]:
    """Afterwards there must be the same files, and the same rows but for these."""
    rows_before, files_before = rows(site), files(site)
    yield
    assert rows(site) == {
        table: number + more.get(table, 0) for table, number in rows_before.items()
    }
    assert files(site) == files_before


def assert_failed_once(site: Deployment, line: str) -> None:
    """The newest job failed in its only attempt, which the line tells about."""
    job_id, [attempt] = last_attempts(site)
    assert attempt.outcome == "failed"
    assert attempt.error
    assert "\n" not in attempt.error
    assert line.endswith(f"ended as failed: {attempt.error}")
    assert line.startswith(f"nightshelf: job {job_id} (")
    assert (attempt.traceback or "").startswith("Traceback (most recent call last)")
    assert not (site.home / job_address(job_id)).exists()


# What is refused before a job is made.


def _no_such_file(folder: Path) -> tuple[str, ...]:
    return (str(folder / "gone.mp4"),)


def _folder_without_videos(folder: Path) -> tuple[str, ...]:
    (folder / "notes.txt").touch()
    return (str(folder),)


def _with(*options: str) -> Callable[[Path], tuple[str, ...]]:
    def arguments(folder: Path) -> tuple[str, ...]:
        write_clip(folder / "good.mp4")
        return (str(folder / "good.mp4"), *options)

    return arguments


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (_no_such_file, "no such file: "),
        (_folder_without_videos, "no videos in folder "),
        (_with("--model", "product"), "as 'product': did you mean products?"),
        (_with("--model", "coco"), "register it: `nightshelf models add WEIGHTS --name coco`"),
        (_with("--classes", "appel"), "no class 'appel': did you mean "),
        (_with("--conf", "1.5"), "conf: Input should be less than or equal to 1 (it is 1.5)"),
        (
            _with("--initialization-delay", "40"),
            "initialization_delay (40) must be less than hit_counter_max (30)",
        ),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_at_once(
    site: Deployment,
    tmp_path: Path,
    arguments: Callable[[Path], tuple[str, ...]],
    complaint: str,
) -> None:
    asked = arguments(tmp_path)
    model = () if "--model" in asked else ("--model", "products")
    with nothing_left_but(site):
        line = say(site, "track", *asked, *model, code=1)
    assert complaint in line


def test_a_model_whose_file_is_gone_is_refused_with_how_to_bring_it_back(
    site: Deployment, clip: Path
) -> None:
    [model] = site.cli_json("models", "list")
    kept = site.home / model_address(model["sha256"])
    kept.rename(kept.with_name("away"))
    try:
        with nothing_left_but(site):
            line = say(site, "track", str(clip), "--model", "products", code=1)
    finally:
        kept.with_name("away").rename(kept)
    assert f"nightshelf models add {WEIGHTS} --name products" in line


# What the worker finds out.


def _text(path: Path) -> None:
    path.write_text("the footage of 3 March is on the other disk\n" * 20)


def _without_index(path: Path) -> None:
    write_clip(path, index_first=False)
    cut_off_index(path)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (_text, "is no video in a known container"),
        (_without_index, "whose index (the moov atom) is missing"),
        (write_sound, "holds only sound"),
        (write_no_frames, "holds a video of no frames"),
        (Path.touch, "is empty"),
    ],
)
def test_a_file_that_is_no_video_fails_its_job_and_leaves_nothing(
    site: Deployment, tmp_path: Path, make: Callable[[Path], None], complaint: str
) -> None:
    path = tmp_path / "aisle.mp4"
    make(path)
    with nothing_left_but(site, jobs=1, job_attempts=1):
        line = say(site, "track", str(path), *_QUICKLY, "--wait", code=3)
    assert complaint in line
    assert_failed_once(site, line)


def test_a_video_that_is_cut_off_is_tracked_as_far_as_it_goes(site: Deployment, clip: Path) -> None:
    cut_off(clip, 0.6)
    site.cli("track", str(clip), *_QUICKLY, "--wait")
    with reading(site.database) as tx:
        video = (
            tx.execute(text("SELECT * FROM videos WHERE address = :path"), {"path": str(clip)})
            .mappings()
            .one()
        )
    assert 0 < video["frames_decoded"] < 60
    assert (video["frames_claimed"], video["frames_missing"]) == (60, 60 - video["frames_decoded"])
    assert video["damage"]
    [job] = site.cli_json("jobs", "list", "--limit", "1")
    said = site.cli_json("report", "tracks", str(job["id"]))
    assert said["totals"]["frames_missing"] == video["frames_missing"]


def test_a_model_that_was_changed_is_not_loaded_and_can_be_brought_back(
    site: Deployment, clip: Path
) -> None:
    [model] = site.cli_json("models", "list")
    kept = site.home / model_address(model["sha256"])
    kept.chmod(0o644)
    kept.write_bytes(WEIGHTS.read_bytes()[:-1] + b"!")
    with nothing_left_but(site, jobs=1, job_attempts=1):
        line = say(site, "track", str(clip), *_QUICKLY, "--wait", code=3)
    assert "has changed since it was registered" in line
    assert "add the original again" in line
    assert_failed_once(site, line)
    site.cli("models", "add", str(WEIGHTS), "--name", "products")
    assert kept.read_bytes() == WEIGHTS.read_bytes()
    site.cli("track", str(clip), *_QUICKLY, "--wait")


class _Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def _onnx(path: Path) -> None:
    path.write_bytes(b"\x08\x07\x12\x07pytorch\x1a\x052.0.0:" + bytes(200))


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing here")


def _bomb_in_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", pickle.dumps(_Bomb(path.with_name("crater")), 2))
        archive.writestr("weights/version", "3\n")


def _bare_bomb(path: Path) -> None:
    path.write_bytes(pickle.dumps(_Bomb(path.with_name("crater")), 2))


@pytest.mark.parametrize(
    ("name", "make", "complaint"),
    [
        ("w.pt", _text, "is no PyTorch checkpoint"),
        ("w.onnx", _onnx, "not an export of it (ONNX and the like)"),
        ("w.pt", _zip, "is a zip file, but no PyTorch checkpoint"),
        ("w.pt", _bomb_in_archive, "calls for code that is no part of a YOLOv8 checkpoint"),
        ("w.pt", _bare_bomb, "is no PyTorch checkpoint"),
    ],
)
def test_a_file_that_is_no_yolo_checkpoint_is_refused_and_nothing_of_it_is_kept_or_run(
    site: Deployment, tmp_path: Path, name: str, make: Callable[[Path], None], complaint: str
) -> None:
    path = tmp_path / name
    make(path)
    with nothing_left_but(site, jobs=1, job_attempts=1):
        line = say(site, "models", "add", str(path), "--name", "other", code=3)
    assert complaint in line
    assert str(path) in line, "the file that was named, not a copy of it"
    assert_failed_once(site, line)
    assert sorted(tmp_path.iterdir()) == [path]


# What is not there.


@pytest.mark.parametrize(
    "command",
    [
        ("jobs", "list"),
        ("track", "{clip}", "--model", "products"),
        ("models", "add", "{clip}", "--name", "other"),
        ("worker",),
        ("db", "upgrade"),
    ],
    ids=" ".join,
)
def test_a_database_that_does_not_answer_is_named_without_its_password(
    site: Deployment, clip: Path, command: tuple[str, ...]
) -> None:
    line = say(
        site,
        *(word.format(clip=clip) for word in command),
        code=1,
        NIGHTSHELF_DATABASE_URL="postgresql+psycopg://user:hunter2@127.0.0.1:1/nightshelf",
    )
    assert "the database does not answer: " in line
    assert "NIGHTSHELF_DATABASE_URL" in line
    assert "hunter2" not in line


def test_a_broker_that_does_not_answer_costs_a_warning_and_the_job_is_recorded(
    site: Deployment, clip: Path
) -> None:
    away = {"NIGHTSHELF_BROKER_URL": "redis://:hunter2@127.0.0.1:1/0"}
    with nothing_left_but(site, jobs=1):
        line = say(site, "track", str(clip), *_QUICKLY, "--stride", "2", code=0, **away)
    assert "the broker does not answer" in line
    assert "NIGHTSHELF_BROKER_URL" in line
    assert "The jobs are recorded, and start when it is back." in line
    assert "hunter2" not in line
    line = say(site, "reconcile", "--once", code=1, **away)
    assert "the broker does not answer" in line
    assert "hunter2" not in line
    site.cli("reconcile", "--once")
    [job] = site.cli_json("jobs", "list", "--limit", "1")
    site.until_over(job["id"])
    assert site.job(job["id"]).state is State.SUCCEEDED


@pytest.mark.parametrize(
    "command",
    [("track", "{clip}", "--model", "products"), ("worker",), ("reconcile",)],
    ids=" ".join,
)
def test_a_schema_that_is_behind_is_told_with_the_command_that_mends_it(
    site: Deployment, clip: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    behind = engine(f"sqlite:///{tmp_path}/behind.db")
    schema.upgrade(behind)
    with behind.begin() as tx:
        tx.execute(text("DELETE FROM alembic_version"))
    behind.dispose()
    line = say(
        site,
        *(word.format(clip=clip) for word in command),
        code=1,
        NIGHTSHELF_DATABASE_URL=str(behind.url),
    )
    assert "nightshelf db upgrade" in line


@pytest.mark.parametrize("command", ["reconcile", "worker", "flower", "up"])
def test_a_setting_that_cannot_be_is_told_by_every_service(site: Deployment, command: str) -> None:
    line = say(site, command, code=1, NIGHTSHELF_LEASE_S="soon")
    assert line == (
        "nightshelf: NIGHTSHELF_LEASE_S: Input should be a valid number, "
        "unable to parse string as a number"
    )


def test_another_kind_of_database_is_refused_without_its_password(site: Deployment) -> None:
    url = "mysql://user:hunter2@host/db"
    line = say(site, "worker", code=1, NIGHTSHELF_DATABASE_URL=url)
    assert "the database must be PostgreSQL or SQLite, not mysql" in line
    assert "hunter2" not in line

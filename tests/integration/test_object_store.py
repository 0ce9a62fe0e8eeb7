"""Files in an object store, with copies on two machines; the store is a real server of S3's API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
import s3fs
from sqlalchemy import Engine, text

from db import job_creation, queue
from db.dialect import reading
from db.doctor import storage as doctor
from db.doctor.finding import Verdict
from db.errors import Stopped, StorageError, Unreachable, UsageError
from db.files import sha256_of
from db.job_records import Job, get
from db.jobs import Claimant
from db.object_store import ObjectStore
from db.settings import Settings, settings
from db.specs import RegisterSpec
from db.states import State
from tests.deployment import WEIGHTS
from tests.s3_double import S3Double, s3_double
from worker.execution import Execution, JobFailed

FILE = PurePosixPath("models/abc/weights.pt")
FOLDER = PurePosixPath("detections/ab/abc/whole")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Double]:
    s3fs.S3FileSystem.clear_instance_cache()
    # What the client itself would do again is not what is tested here, and takes seconds.
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    with s3_double() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def here(s3: S3Double, tmp_path: Path) -> ObjectStore:
    return ObjectStore(s3.url, tmp_path / "here")


@pytest.fixture
def there(s3: S3Double, tmp_path: Path) -> ObjectStore:
    return ObjectStore(s3.url, tmp_path / "there")


def write(path: Path, content: str = "weights") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_a_file_published_on_one_machine_is_fetched_on_another(
    here: ObjectStore, there: ObjectStore, tmp_path: Path
) -> None:
    digest = sha256_of(write(tmp_path / "here" / FILE))
    assert not there.holds(FILE)
    assert there.sha256_of(FILE) is None
    here.publish_file(FILE)
    assert there.holds(FILE)
    assert there.sha256_of(FILE) == digest
    there.fetch_file(FILE, digest)
    assert (tmp_path / "there" / FILE).read_text() == "weights"
    assert [path.name for path in (tmp_path / "there" / FILE).parent.iterdir()] == ["weights.pt"]


def test_a_copy_is_not_fetched_twice_and_a_broken_one_is(
    s3: S3Double, here: ObjectStore, there: ObjectStore, tmp_path: Path
) -> None:
    digest = sha256_of(write(tmp_path / "here" / FILE))
    here.publish_file(FILE)
    there.fetch_file(FILE, digest)
    before = len(s3.requests)
    there.fetch_file(FILE, digest)
    assert len(s3.requests) == before
    (tmp_path / "there" / FILE).write_text("WEIGHTS")  # as long as before
    there.fetch_file(FILE, digest)
    assert (tmp_path / "there" / FILE).read_text() == "weights"


def test_a_file_that_is_not_kept_is_not_fetched(there: ObjectStore, tmp_path: Path) -> None:
    there.fetch_file(FILE, "0" * 64)
    assert not (tmp_path / "there" / FILE).exists()


def test_folders_are_kept_whole_and_the_first_of_two_stays(
    s3: S3Double, here: ObjectStore, there: ObjectStore, tmp_path: Path
) -> None:
    write(tmp_path / "here" / FOLDER / "part-00000.parquet", "rows")
    write(tmp_path / "here" / FOLDER / "stored.json", "{}")
    here.publish_folder(FOLDER)
    write(tmp_path / "there" / FOLDER / "stored.json", "another")
    there.publish_folder(FOLDER)
    third = ObjectStore(s3.url, tmp_path / "third")
    third.fetch_folders(FOLDER.parent)
    assert {path.name: path.read_text() for path in (tmp_path / "third" / FOLDER).iterdir()} == {
        "part-00000.parquet": "rows",
        "stored.json": "{}",
    }
    puts = [path for method, path in s3.requests if method == "PUT" and path.endswith(".tar")]
    assert puts == [f"/night/shelf/{FOLDER}.tar"], "one object, so that it is there or not"
    assert [path.name for path in (tmp_path / "third" / FOLDER).parent.iterdir()] == ["whole"]


def test_a_folder_that_is_here_is_not_fetched_again(
    s3: S3Double, here: ObjectStore, tmp_path: Path
) -> None:
    write(tmp_path / "here" / FOLDER / "stored.json", "{}")
    here.publish_folder(FOLDER)
    here.fetch_folders(FOLDER.parent)
    assert not [path for method, path in s3.requests if method == "GET" and path.endswith(".tar")]


def test_of_several_folders_one_can_be_fetched_alone(
    s3: S3Double, here: ObjectStore, there: ObjectStore, tmp_path: Path
) -> None:
    for segment in ("0_900", "900_1800"):
        write(tmp_path / "here" / FOLDER.parent / segment / "stored.json", segment)
        here.publish_folder(FOLDER.parent / segment)
    there.fetch_folder(FOLDER.parent / "900_1800")
    there.fetch_folder(FOLDER.parent / "1800_2700")
    assert [path.name for path in (tmp_path / "there" / FOLDER.parent).iterdir()] == ["900_1800"]
    gets = [path for method, path in s3.requests if method == "GET" and path.endswith(".tar")]
    assert gets == [f"/night/shelf/{FOLDER.parent}/900_1800.tar"]


def test_what_is_removed_is_gone_here_and_in_the_store(
    here: ObjectStore, there: ObjectStore, tmp_path: Path
) -> None:
    write(tmp_path / "here" / "jobs/1/attempt-1/tracks.parquet")
    here.publish_file(PurePosixPath("jobs/1/attempt-1/tracks.parquet"))
    here.release(PurePosixPath("jobs/1/attempt-1"))
    assert not (tmp_path / "here" / "jobs" / "1").exists()
    assert there.holds("jobs/1/attempt-1/tracks.parquet")
    there.remove(PurePosixPath("jobs/1"))
    assert not here.holds("jobs/1/attempt-1/tracks.parquet")


def test_a_transfer_that_is_given_up_leaves_no_half_copy(
    here: ObjectStore, there: ObjectStore, tmp_path: Path
) -> None:
    digest = sha256_of(write(tmp_path / "here" / FILE, "w" * 1_000_000))
    here.publish_file(FILE)

    def give_up(moved: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        there.fetch_file(FILE, digest, give_up)
    assert list((tmp_path / "there" / FILE).parent.iterdir()) == []


def test_a_store_that_does_not_answer_is_told_in_one_line_without_its_secret(
    s3: S3Double, here: ObjectStore, tmp_path: Path
) -> None:
    write(tmp_path / "here" / FILE)
    s3.fails = lambda method, path: True
    for ask in (
        lambda: here.publish_file(FILE),
        lambda: here.holds(FILE),
        lambda: here.fetch_folders(FOLDER.parent),
        lambda: here.sha256_of(FILE),
    ):
        with pytest.raises(StorageError, match="s3://night/shelf/") as failure:
            ask()
        assert "\n" not in str(failure.value)
        assert "hunter2" not in str(failure.value)
    here.remove(FILE.parent)  # only logs


def test_doctor_tries_the_store(s3: S3Double, tmp_path: Path) -> None:
    found = doctor.object_store(Settings(home=tmp_path, files_url=s3.url))
    assert (found.verdict, found.value) == (Verdict.OK, "s3://night/shelf, writable")
    found = doctor.object_store(Settings(home=tmp_path, files_url="s3://day/shelf"))
    assert found.verdict is Verdict.BAD
    assert "bucket" in found.cure
    found = doctor.object_store(Settings(home=tmp_path, files_url="s4://night/shelf"))
    assert found.verdict is Verdict.FATAL, "a worker refuses to start"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("NIGHTSHELF_FILES_URL", "/mnt/files", "FILES_URL: must be an address like s3://"),
        ("NIGHTSHELF_FILES_URL", "s3://", "FILES_URL: must be an address like s3://"),
        ("NIGHTSHELF_FILES_URL", "s3://me:secret@night/shelf", "must hold no password"),
        ("NIGHTSHELF_HOME", "s3://night/shelf", "HOME: must be a folder of this machine"),
    ],
)
def test_an_address_that_cannot_be_is_refused_with_what_to_set(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    settings.cache_clear()
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=says) as refusal:
        settings()
    assert "secret" not in str(refusal.value)
    settings.cache_clear()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_job_whose_files_cannot_be_kept_is_tried_again_and_no_row_points_to_them(
    database: Engine, s3: S3Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> list[Job]:
        raise Unreachable("the broker does not answer")

    monkeypatch.setattr(queue, "ring_due", away)
    spec = RegisterSpec(name="products", weights=str(WEIGHTS), weights_sha256=sha256_of(WEIGHTS))
    with database.begin() as tx:
        job = job_creation.create(tx, spec, max_attempts=3)[0].id
    config = Settings(home=tmp_path / "home", files_url=s3.url, retry_backoff_s=0)
    execution = Execution(database, config, Claimant("w", "h", "cpu"))
    models = text("SELECT COUNT(*) FROM models")
    try:
        s3.fails = lambda method, path: method == "PUT"
        with pytest.raises(JobFailed, match="publishing its files: s3://night/shelf/models/"):
            execution.run(job)
        with reading(database) as tx:
            assert get(tx, job).state is State.QUEUED
            assert tx.scalar(models) == 0
        s3.fails = lambda method, path: False
        assert execution.run(job)
    finally:
        execution.close()
    with reading(database) as tx:
        assert get(tx, job).state is State.SUCCEEDED
        assert tx.scalar(models) == 1
    kept = ObjectStore(s3.url, tmp_path / "other")
    assert kept.sha256_of(f"models/{spec.weights_sha256}/weights.pt") == spec.weights_sha256

"""What jobs write when they finish, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import IntegrityError

from db import job_records, jobs, results
from db.dataset_results import known_dataset
from db.dataset_tables import DatasetRow
from db.errors import LeaseLost, ModelError
from db.jobs import Lease
from db.model_tables import ModelClassRow, ModelRow
from db.results import FileFacts, RegisterResult, TrackResult
from db.specs import RegisterSpec, Spec
from db.states import State
from db.tables import (
    Base,
    ClassCountRow,
    FileRow,
    TrackingRow,
    TrackRow,
    VideoRow,
)
from tests.recorded import (
    checkpoint,
    claimed,
    finished,
    register_model,
    sha256,
    track,
    track_result,
    track_spec,
)

NAMES = ("apple", "banana")
SEEN = track_result([track(1, 0, 0, 9), track(2, 1, 5, 12)], NAMES, 20)
FILES = (FileFacts(name="trajectories.parquet", sha256=sha256("t"), size_bytes=7),)
RESULTS = (VideoRow, TrackingRow, TrackRow, ClassCountRow, FileRow)


def count(database: Engine, table: type[Base]) -> int:
    with database.begin() as tx:
        return tx.scalar(select(func.count()).select_from(table)) or 0


def begun(database: Engine, spec: Spec) -> Lease:
    with database.begin() as tx:
        return claimed(tx, spec)


def finish(database: Engine, lease: Lease, result: TrackResult | RegisterResult) -> None:
    """As the worker does it: the end of the job and its results in one transaction."""
    with database.begin() as tx:
        jobs.finish(tx, lease)
        results.write(tx, lease.job, result)


def state_of(database: Engine, lease: Lease) -> State:
    with database.begin() as tx:
        return job_records.get(tx, lease.job.id).state


def registering(name: str, content: str) -> RegisterSpec:
    return RegisterSpec(name=name, weights="/weights/x.pt", weights_sha256=sha256(content))


def test_a_track_job_writes_its_video_tracks_counts_and_files(database: Engine) -> None:
    model = register_model(database, "coco", NAMES)
    job = finished(database, track_spec(model), SEEN.model_copy(update={"files": FILES}))
    assert [count(database, table) for table in RESULTS] == [1, 1, 2, 2, 1]
    with database.begin() as tx:
        [file] = job_records.output_files(tx, job.id)
        votes = tx.scalars(select(TrackRow.class_votes).order_by(TrackRow.track)).all()
        video = tx.execute(select(VideoRow.__table__)).mappings().one()
    assert file.address == f"jobs/{job.id}/attempt-1/trajectories.parquet"
    assert list(votes) == [{"apple": 5.0}, {"banana": 4.0}]
    assert (video["address"], video["sha256"]) == (
        "/footage/aisle.mp4",
        track_spec(model).video_sha256,
    )
    assert {name: video[name] for name in SEEN.video.model_dump()} == SEEN.video.model_dump()


def test_a_job_that_saw_nothing_has_totals_and_no_rows(database: Engine) -> None:
    model = register_model(database, "coco", NAMES)
    finished(database, track_spec(model), track_result([], NAMES, 20))
    assert [count(database, table) for table in RESULTS] == [1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    "part",
    [
        {"tracks": (), "counts": (), "files": FILES},  # of the one row of totals
        {"tracks": SEEN.tracks, "counts": SEEN.counts, "files": ()},
    ],
    ids=["totals-and-files", "all"],
)
def test_the_database_itself_refuses_a_jobs_results_a_second_time(
    database: Engine, part: dict[str, Any]
) -> None:
    model = register_model(database, "coco", NAMES)
    result = SEEN.model_copy(update=part)
    job = finished(database, track_spec(model), result)
    before = [count(database, table) for table in RESULTS]
    with pytest.raises(IntegrityError), database.begin() as tx:
        results.write(tx, job, result)
    assert [count(database, table) for table in RESULTS] == before


@pytest.mark.parametrize(
    "twice",
    [
        {"tracks": (SEEN.tracks[0], SEEN.tracks[0])},
        {"counts": (SEEN.counts[0], SEEN.counts[0])},
        {"files": FILES * 2},
    ],
    ids=lambda twice: next(iter(twice)),
)
def test_a_track_class_or_file_is_not_written_twice_for_a_job(
    database: Engine, twice: dict[str, Any]
) -> None:
    model = register_model(database, "coco", NAMES)
    lease = begun(database, track_spec(model))
    with pytest.raises(IntegrityError):
        finish(database, lease, SEEN.model_copy(update=twice))
    assert [count(database, table) for table in RESULTS] == [0] * len(RESULTS)
    assert state_of(database, lease) is State.RUNNING, "its end was not written either"


def test_the_database_itself_refuses_a_track_that_cannot_be(database: Engine) -> None:
    model = register_model(database, "coco", NAMES)
    lease = begun(database, track_spec(model))
    impossible: dict[str, float] = {
        "track": 0,
        "first_frame": -1,
        "last_frame": 3,
        "last_s": 0.1,
        "detections": 0,
        "mean_confidence": 1.5,
    }
    for field, value in impossible.items():
        bent = SEEN.tracks[1].model_copy(update={field: value})
        with pytest.raises(IntegrityError, match="ck_tracks_"):
            finish(database, lease, SEEN.model_copy(update={"tracks": (SEEN.tracks[0], bent)}))
        assert [count(database, table) for table in RESULTS] == [0] * len(RESULTS), field


def test_a_video_that_is_known_is_brought_up_to_date_and_not_doubled(database: Engine) -> None:
    model = register_model(database, "coco", NAMES)
    finished(database, track_spec(model), SEEN)
    seen_again = SEEN.model_copy(
        update={"video": SEEN.video.model_copy(update={"frames_decoded": 21, "damage": "cut"})}
    )
    moved = track_spec(model).model_copy(update={"video": "/footage/moved.mp4", "conf": 0.4})
    finished(database, moved, seen_again)
    with database.begin() as tx:
        video = tx.execute(select(VideoRow.__table__)).mappings().one()
        of_jobs = set(tx.scalars(select(TrackingRow.video_id)))
    assert (video["address"], video["frames_decoded"], video["damage"]) == (
        "/footage/moved.mp4",
        21,
        "cut",
    )
    assert of_jobs == {video["id"]}
    assert count(database, TrackingRow) == 2


def test_results_of_a_model_that_is_not_registered_are_refused(database: Engine) -> None:
    lease = begun(database, track_spec(sha256("unknown")))
    with pytest.raises(ModelError, match="not registered any more"):
        finish(database, lease, SEEN)
    assert count(database, VideoRow) == 0


def test_a_result_of_another_kind_is_refused(database: Engine) -> None:
    model = register_model(database, "coco", NAMES)
    tracking = begun(database, track_spec(model))
    registration = begun(database, registering("other", "other"))
    wrong: list[tuple[Lease, Any]] = [(tracking, checkpoint("apple")), (registration, SEEN)]
    for lease, result in wrong:
        with (
            pytest.raises(TypeError, match=f"a {lease.job.kind} job cannot"),
            database.begin() as tx,
        ):
            results.write(tx, lease.job, result)
    assert count(database, ModelRow) == 1


def ending_with(first: Engine, second: Callable[[Connection], None]) -> Callable[[], None]:
    """Have `second` begin in a transaction of its own while the caller's has written already."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with first.begin() as tx:
                second(tx)
        except BaseException as error:
            failed.append(error)

    other = threading.Thread(target=run)
    other.start()
    time.sleep(0.3)  # it waits for the lock of what the caller has written

    def end() -> None:
        other.join()
        assert not failed, failed

    return end


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_jobs_that_end_at_once_on_a_new_data_set_share_its_row(database: Engine) -> None:
    def write(tx: Connection) -> None:
        known_dataset(tx, sha256("d"), "d", "/d.yaml")

    with database.begin() as tx:
        write(tx)
        end = ending_with(database, write)
    end()
    assert count(database, DatasetRow) == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_models_that_begin_a_name_at_once_are_two_versions_of_it(database: Engine) -> None:
    leases = {one: begun(database, registering("new", one)) for one in ("a", "b")}

    def write(tx: Connection, content: str) -> None:
        jobs.finish(tx, leases[content])
        results.write(tx, leases[content].job, checkpoint("apple"))

    with database.begin() as tx:
        write(tx, "a")
        end = ending_with(database, lambda tx: write(tx, "b"))
    end()
    with database.begin() as tx:
        found = tx.execute(select(ModelRow.version, ModelRow.stage).order_by(ModelRow.id)).all()
    assert sorted(map(tuple, found)) == [(1, "production"), (2, "candidate")]


def test_results_are_written_with_the_end_of_the_job_or_not_at_all(database: Engine) -> None:
    model = register_model(database, "coco", NAMES)
    lease = begun(database, track_spec(model))

    class PowerCut(Exception):
        pass

    def finish_in_the_dark() -> None:
        with database.begin() as tx:
            jobs.finish(tx, lease)
            results.write(tx, lease.job, SEEN.model_copy(update={"files": FILES}))
            raise PowerCut

    with pytest.raises(PowerCut):
        finish_in_the_dark()
    assert [count(database, table) for table in RESULTS] == [0] * len(RESULTS)
    assert state_of(database, lease) is State.RUNNING


def test_a_worker_that_lost_its_lease_writes_no_results(database: Engine) -> None:
    model = register_model(database, "coco", NAMES)
    lease = begun(database, track_spec(model))
    with database.begin() as tx:
        jobs.hand_back(tx, lease)
    with pytest.raises(LeaseLost):
        finish(database, lease, SEEN)
    assert count(database, TrackingRow) == 0


def test_a_registration_writes_the_model_and_its_classes_in_order(database: Engine) -> None:
    job = finished(database, registering("coco", "a"), checkpoint("zebra", "apple"))
    with database.begin() as tx:
        model = tx.execute(select(ModelRow.__table__)).mappings().one()
        classes = tx.execute(select(ModelClassRow.class_id, ModelClassRow.name)).all()
    assert (model["name"], model["sha256"]) == ("coco", sha256("a"))
    assert model["address"] == f"models/{sha256('a')}/weights.pt"
    assert (model["source"], model["job_id"]) == ("/weights/x.pt", job.id)
    assert sorted(map(tuple, classes)) == [(0, "zebra"), (1, "apple")]


def test_registering_the_same_again_renews_the_model_and_does_not_double_it(
    database: Engine,
) -> None:
    finished(database, registering("coco", "a"), checkpoint("apple", "banana"))
    again = finished(database, registering("coco", "a"), checkpoint("apple", "banana"))
    with database.begin() as tx:
        assert tx.scalars(select(ModelRow.job_id)).all() == [again.id]
    assert count(database, ModelClassRow) == 2


def test_a_content_has_one_name(database: Engine) -> None:
    finished(database, registering("coco", "a"), checkpoint("apple"))
    lease = begun(database, registering("other", "a"))
    with pytest.raises(ModelError, match="registered already, as coco@1: use that name"):
        finish(database, lease, checkpoint("banana"))
    with database.begin() as tx:
        assert tx.execute(select(ModelRow.name, ModelRow.sha256)).all() == [("coco", sha256("a"))]
        assert tx.scalars(select(ModelClassRow.name)).all() == ["apple"]
    assert state_of(database, lease) is State.RUNNING


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", ".hidden", ""])
def test_a_file_cannot_lie_outside_its_attempts_folder(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        FileFacts(name=name, sha256=sha256("a"), size_bytes=1)


def test_a_result_is_the_same_after_the_pipe() -> None:
    assert TrackResult.model_validate_json(SEEN.model_dump_json()) == SEEN

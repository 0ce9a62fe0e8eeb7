"""What notebooks and Airflow call, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

import producer
from db import jobs as protocol
from db import queue
from db.dialect import engine
from db.errors import ModelError, SchemaBehind, UsageError
from db.job_records import Progress
from db.jobs import Lease
from db.layout import model_address
from db.settings import Settings, settings
from db.specs import Priority, TrackerOptions
from db.states import State
from tests.labelled import write_dataset
from tests.recorded import WORKER, finished, register_model, sha256, track, track_result
from tests.servers import Valkey

CLASSES = ("apple", "banana", "grape")

# Where nothing depends on the kind of database.
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def model(configured: Settings, database: Engine) -> str:
    """The sha256 of a registered model, `fruit`, whose file is there."""
    return register_model(database, "fruit", CLASSES, configured.home)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "aisle 4.mp4"
    path.write_text("frames")
    return path


@pytest.fixture
def ringing(broker: Valkey, model: str, monkeypatch: pytest.MonkeyPatch) -> Valkey:
    """A broker that answers."""
    monkeypatch.setenv("NIGHTSHELF_BROKER_URL", broker.url)
    settings.cache_clear()
    monkeypatch.setattr(queue, "app", queue.make_app(settings()))
    return broker


def claim(database: Engine, job_id: int) -> Lease:
    with database.begin() as tx:
        lease = protocol.claim(tx, job_id, WORKER, 60)
    assert lease is not None
    return lease


@pytest.mark.usefixtures("model")
def test_tracking_records_what_was_asked_for(
    database: Engine, configured: Settings, video: Path, model: str
) -> None:
    read: list[tuple[Path, int]] = []
    [one] = producer.track(
        [video],
        "fruit",
        conf=0.4,
        classes=["grape", "apple", "grape"],
        stride=2,
        tracker=TrackerOptions(hit_counter_max=40),
        annotate=True,
        priority=Priority.HIGH,
        on_read=lambda path, done: read.append((path, done)),
    )
    assert one.new
    assert read == [(video, len("frames"))]
    job = producer.job(one.job.id).job
    assert (job.state, job.attempt, job.max_attempts) == (State.QUEUED, 0, configured.max_attempts)
    assert (job.label, job.queue) == ("aisle 4.mp4 · fruit@1", "nightshelf.gpu.high")
    assert job.spec == {
        "kind": "track",
        "video": str(video),
        "video_sha256": sha256("frames"),
        "model": "fruit@1",
        "model_sha256": model,
        "conf": 0.4,
        "iou": 0.7,
        "imgsz": 640,
        "classes": ["apple", "grape"],
        "stride": 2,
        "device": None,
        "tracker": TrackerOptions(hit_counter_max=40).model_dump(),
        "annotate": True,
    }


@pytest.mark.usefixtures("model")
def test_the_same_video_again_is_not_new_wherever_it_lies_now(video: Path, tmp_path: Path) -> None:
    [first] = producer.track([video], "fruit", classes=["apple", "grape"])
    video.rename(tmp_path / "moved.mp4")
    [again] = producer.track([tmp_path / "moved.mp4"], "fruit", classes=["grape", "apple"])
    assert (again.job.id, again.new) == (first.job.id, False)


@pytest.mark.usefixtures("model")
def test_two_files_of_one_content_are_one_job(video: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.mp4").write_text("frames")
    first, second = producer.track([video, tmp_path / "copy.mp4"], "fruit")
    assert (first.new, second.new) == (True, False)
    assert first.job.id == second.job.id


@pytest.mark.usefixtures("model")
def test_other_options_are_another_job_and_so_is_a_forced_one(video: Path) -> None:
    ids = {
        producer.track([video], "fruit")[0].job.id,
        producer.track([video], "fruit", conf=0.3)[0].job.id,
        producer.track([video], "fruit", force=True)[0].job.id,
    }
    assert len(ids) == 3


@ON_SQLITE
@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"conf": 1.5}, r"^conf: Input should be less than or equal to 1 \(it is 1.5\)$"),
        ({"conf": float("nan")}, "^conf: .* finite number"),
        ({"imgsz": 100}, r"^imgsz: .* multiple of 32 \(it is 100\)$"),
        ({"stride": 0}, "^stride: "),
        ({"classes": []}, "^classes: .* at least 1 item"),
        ({"classes": ["aple"]}, "^model 'fruit' has no class 'aple': did you mean apple"),
        ({"classes": ["xyz"]}, "^model 'fruit' has no class 'xyz': it has none with a near name"),
        ({"classes": ["Apple"]}, "^model 'fruit' has no class 'Apple': did you mean apple"),
        ({"videos": []}, "^no videos were named"),
        ({"videos": ["/gone.mp4"]}, "^no such file: /gone.mp4$"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line_and_records_nothing(
    video: Path, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        producer.track(**{"videos": [video], "model": "fruit"} | options)
    assert "\n" not in str(caught.value)
    assert producer.jobs(kinds=["track"]) == []


@pytest.mark.usefixtures("model")
def test_one_bad_video_among_good_ones_records_nothing(video: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        producer.track([video, video.with_name("gone.mp4")], "fruit")
    assert producer.jobs(kinds=["track"]) == []


@ON_SQLITE
@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("friut", "did you mean fruit?"),
        ("coco", "register it: `nightshelf models add WEIGHTS --name coco`"),
    ],
)
def test_a_model_that_was_never_registered_is_refused_with_what_to_do(
    video: Path, name: str, hint: str
) -> None:
    with pytest.raises(ModelError) as caught:
        producer.track([video], name)
    assert str(caught.value) == f"no model is registered as {name!r}: {hint}"


def test_a_model_whose_file_is_gone_is_refused_with_how_to_bring_it_back(
    configured: Settings, model: str, video: Path
) -> None:
    (configured.home / model_address(model)).unlink()
    with pytest.raises(ModelError, match=r"is gone: .* `nightshelf models add /weights/fruit\.pt"):
        producer.track([video], "fruit")


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_adding_a_model_again_brings_its_file_back(
    configured: Settings, model: str, tmp_path: Path, harm: str
) -> None:
    original = tmp_path / "fruit.pt"
    original.write_text("fruit")
    unharmed = producer.add_model(original, "fruit")
    assert not unharmed.new, "it costs nothing while the file is whole"
    kept = configured.home / model_address(model)
    if harm == "gone":
        kept.unlink()
    else:
        kept.write_text("something else")
    again = producer.add_model(original, "fruit")
    assert again.new
    assert again.job.priority is Priority.HIGH


@ON_SQLITE
@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("content", "name", "error", "complaint"),
    [
        ("fruit", "other", ModelError, "registered already, as fruit@1"),
        ("other", "Fruit 2", UsageError, "^name: String should match pattern"),
    ],
)
def test_a_model_that_cannot_be_added_is_refused_before_a_job_is_made(
    tmp_path: Path, content: str, name: str, error: type[Exception], complaint: str
) -> None:
    weights = tmp_path / "w.pt"
    weights.write_text(content)
    before = len(producer.jobs())
    with pytest.raises(error, match=complaint):
        producer.add_model(weights, name)
    assert len(producer.jobs()) == before


def test_registered_models_are_listed_with_their_classes(
    configured: Settings, database: Engine, model: str
) -> None:
    register_model(database, "coco", ("bottle",), configured.home)
    assert [(one.name, one.classes) for one in producer.models()] == [
        ("coco", ("bottle",)),
        ("fruit", CLASSES),
    ]
    assert producer.model("fruit").sha256 == model


@pytest.mark.usefixtures("model")
def test_a_broker_that_is_away_loses_no_job(video: Path) -> None:
    [one] = producer.track([video], "fruit")
    assert one.new
    assert (one.broker_away or "").startswith("the broker does not answer")
    assert "hunter2" not in (one.broker_away or "")
    assert producer.job(one.job.id).job.rung_at is None, "a message is still due"


def test_a_broker_that_answers_is_sent_the_jobs_number_and_nothing_of_its_spec(
    ringing: Valkey, video: Path
) -> None:
    [one] = producer.track([video], "fruit")
    assert one.broker_away is None
    assert producer.job(one.job.id).job.rung_at is not None
    with ringing.client() as client:
        [message] = client.lrange("nightshelf.gpu.normal", 0, -1)
        assert client.llen("nightshelf.gpu.high") == 0
    assert f'"id": "{one.job.id}"'.encode() in message
    assert str(video).encode() not in message


@pytest.mark.usefixtures("ringing")
def test_a_second_request_for_the_same_does_not_ring_again(ringing: Valkey, video: Path) -> None:
    for _ in range(3):
        producer.track([video], "fruit")
    with ringing.client() as client:
        assert client.llen("nightshelf.gpu.normal") == 1


@pytest.mark.usefixtures("model")
def test_jobs_are_listed_the_newest_first_and_by_filter(database: Engine, video: Path) -> None:
    first = producer.track([video], "fruit")[0].job.id
    second = producer.track([video], "fruit", conf=0.3)[0].job.id
    producer.cancel(first)
    tracks = producer.jobs(kinds=["track"])
    assert [job.id for job in tracks] == [second, first]
    assert [job.id for job in producer.jobs(states=["cancelled"])] == [first]
    assert [job.id for job in producer.jobs(states=[State.QUEUED], kinds=["track"])] == [second]
    assert [job.id for job in producer.jobs(limit=1)] == [second]
    assert [job.id for job in producer.jobs(ids=[first])] == [first]
    assert producer.jobs(kinds=["nothing"]) == []


@pytest.mark.usefixtures("model")
def test_a_job_has_its_attempts_and_files(database: Engine, video: Path) -> None:
    [one] = producer.track([video], "fruit")
    lease = claim(database, one.job.id)
    with database.begin() as tx:
        protocol.fail(tx, lease, "out of luck", "Traceback …")
    details = producer.job(one.job.id)
    assert [(it.outcome, it.error, it.traceback) for it in details.attempts] == [
        ("failed", "out of luck", "Traceback …")
    ]
    assert (details.children, details.files) == ([], [])


@pytest.mark.parametrize("ask", [producer.job, producer.cancel, producer.retry])
def test_a_job_that_does_not_exist_is_refused(configured: Settings, ask: Any) -> None:
    with pytest.raises(UsageError, match="there is no job 77"):
        ask(77)
    with pytest.raises(UsageError, match="there is no job 77"):
        producer.wait([77])


@pytest.mark.usefixtures("model")
def test_a_cancelled_job_is_over_and_a_retried_one_queued(video: Path) -> None:
    [one] = producer.track([video], "fruit")
    assert producer.cancel(one.job.id).state is State.CANCELLED
    with pytest.raises(UsageError, match="over already"):
        producer.cancel(one.job.id)
    assert producer.retry(one.job.id).state is State.QUEUED
    with pytest.raises(UsageError, match="only a failed or cancelled job"):
        producer.retry(one.job.id)


def test_a_retried_job_is_rung_for(ringing: Valkey, video: Path) -> None:
    [one] = producer.track([video], "fruit")
    producer.cancel(one.job.id)
    with ringing.client() as client:
        client.flushall()
        producer.retry(one.job.id)
        assert client.llen("nightshelf.gpu.normal") == 1


@pytest.mark.usefixtures("model")
def test_waiting_gives_the_jobs_when_they_are_over(database: Engine, video: Path) -> None:
    first = producer.track([video], "fruit")[0].job.id
    second = producer.track([video], "fruit", conf=0.3)[0].job.id
    producer.cancel(first)
    lease = claim(database, second)
    with database.begin() as tx:
        protocol.fail(tx, lease, "bad", permanent=True)
    ended = producer.wait([second, first], timeout_s=60)
    assert [(job.id, job.state) for job in ended] == [
        (first, State.CANCELLED),
        (second, State.FAILED),
    ]
    assert producer.wait([]) == []


@pytest.mark.usefixtures("model")
def test_waiting_too_long_is_told_and_the_job_goes_on(video: Path) -> None:
    [one] = producer.track([video], "fruit")
    with pytest.raises(TimeoutError, match=rf"jobs \[{one.job.id}\]; they go on"):
        producer.wait([one.job.id], timeout_s=0)
    assert producer.job(one.job.id).job.state is State.QUEUED


@pytest.mark.usefixtures("model")
def test_a_training_has_one_speed_and_says_itself_how_much_is_left(
    database: Engine, tmp_path: Path
) -> None:
    asked = producer.train(write_dataset(tmp_path / "shop"), "yolov8n.yaml", "shop")
    lease = claim(database, asked.job.id)
    seen = producer.watch([asked.job.id], every_s=0)
    for done, note in ((10, "epoch 1/9"), (60, "epoch 2/9, about 3 min left")):
        with database.begin() as tx:
            protocol.heartbeat(tx, lease, 60, Progress(done, 100, "batches", note))
        with database.begin() as tx:
            tx.execute(
                text("UPDATE jobs SET progress_at = :at WHERE id = :id"),
                {"at": f"2025-05-01 06:00:{done - 10:02}.000000", "id": asked.job.id},
            )
        [sight] = next(seen)
    assert (sight.per_s, sight.left_s) == (1.0, None)


@pytest.mark.usefixtures("model")
def test_watching_shows_progress_and_speed_until_the_job_is_over(
    database: Engine, video: Path
) -> None:
    [one] = producer.track([video], "fruit")
    seen = producer.watch([one.job.id], every_s=0)
    [sight] = next(seen)
    assert (sight.job.state, sight.per_s, sight.left_s) == (State.QUEUED, None, None)
    lease = claim(database, one.job.id)
    for done in (10, 60):
        with database.begin() as tx:
            protocol.heartbeat(tx, lease, 60, Progress(done, 100, "frames", "detecting"))
        with database.begin() as tx:  # as if it had taken as many seconds
            tx.execute(
                text("UPDATE jobs SET progress_at = :at WHERE id = :id"),
                {"at": f"2025-05-01 06:00:{done - 10:02}.000000", "id": one.job.id},
            )
        [sight] = next(seen)
        assert (sight.job.progress_done, sight.job.progress_total) == (done, 100)
    assert (sight.per_s, sight.left_s) == (1.0, 40.0)
    with database.begin() as tx:
        protocol.finish(tx, lease)
    [[last]] = list(seen)
    assert last.job.state is State.SUCCEEDED


@pytest.mark.usefixtures("model")
def test_watching_nothing_in_particular_watches_all_that_is_live(video: Path) -> None:
    live = [producer.track([video], "fruit", conf=c)[0].job.id for c in (0.2, 0.3)]
    assert [sight.job.id for sight in next(producer.watch())] == live
    for job_id in live:
        producer.cancel(job_id)
    assert list(itertools.chain(*producer.watch())) == []


@pytest.mark.usefixtures("model")
def test_a_report_holds_rows_and_what_sums_them_up(database: Engine, video: Path) -> None:
    [one] = producer.track([video], "fruit")
    seen = track_result([track(1, 0, 0, 9), track(2, 2, 5, 12)], CLASSES, 20)
    spec = one.job.parsed_spec
    job_id = finished(database, spec, seen).id
    counts = producer.report("counts", job_id)
    assert [row["class"] for row in counts.rows.dicts()] == ["apple", "grape"]
    assert counts.summaries["totals"]["tracks"] == 2
    tracks = producer.report("tracks", job_id)
    assert tracks.as_dict()["job"] == job_id
    assert [row["track"] for row in tracks.as_dict()["tracks"]] == [1, 2]
    assert tracks.summaries["quality"]["short_tracks"] == 2


@pytest.mark.usefixtures("model")
def test_a_report_on_a_job_without_results_says_why_there_are_none(
    database: Engine, video: Path
) -> None:
    [one] = producer.track([video], "fruit")
    with pytest.raises(UsageError, match="has no results, it is queued"):
        producer.report("tracks", one.job.id)
    lease = claim(database, one.job.id)
    with database.begin() as tx:
        protocol.fail(tx, lease, "the file is no video", permanent=True)
    with pytest.raises(UsageError, match="it is failed: the file is no video"):
        producer.report("counts", one.job.id)
    [registration] = producer.jobs(kinds=["register"])
    with pytest.raises(UsageError, match="is of kind register: it has no tracks"):
        producer.report("tracks", registration.id)
    with pytest.raises(UsageError, match="there is no report 'guesses'"):
        producer.report("guesses", one.job.id)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="there is no job 77"):
        producer.report("tracks", 77)


@pytest.mark.usefixtures("model")
def test_a_schema_that_is_behind_is_told_by_every_call(database: Engine, video: Path) -> None:
    with database.begin() as tx:
        tx.execute(text("DELETE FROM alembic_version"))
    calls: list[Any] = [
        lambda: producer.track([video], "fruit"),
        lambda: producer.jobs(),
        lambda: producer.job(1),
        lambda: producer.cancel(1),
        lambda: producer.models(),
        lambda: producer.report("tracks", 1),
        lambda: producer.wait([1]),
    ]
    for call in calls:
        with pytest.raises(SchemaBehind, match="nightshelf db upgrade"):
            call()


def test_the_engine_of_the_settings_is_made_once(configured: Settings, database: Engine) -> None:
    assert engine(configured.database) is database

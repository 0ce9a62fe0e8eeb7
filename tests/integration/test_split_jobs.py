"""A running job that becomes the parent of smaller ones, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from db import job_creation, job_records, jobs, rings
from db.job_records import Job, Progress
from db.jobs import Claimant, Lease
from db.specs import DetectSpec, Priority, Segment, TrackSpec
from db.states import Outcome, State

WORKER = Claimant("cpu-1@here", "here", "cpu")
TOTAL = Progress(0, 300, "frames")


def track(video: str = "a") -> TrackSpec:
    return TrackSpec(
        video=f"/{video}.mp4",
        video_sha256=(video * 64)[:64],
        model="coco",
        model_sha256="f" * 64,
    )


def segments(of: int = 3) -> list[DetectSpec]:
    return [
        DetectSpec(
            video="/a.mp4",
            video_sha256="a" * 64,
            model="coco",
            model_sha256="f" * 64,
            conf_floor=0.1,
            iou=0.7,
            imgsz=640,
            stride=1,
            device=None,
            segment=Segment(
                number=number,
                of=of,
                first_pts=100 * number,
                end_pts=100 * (number + 1),
                first_frame=100 * number,
                frames=100,
                start_pts=0,
            ),
        )
        for number in range(of)
    ]


def enqueue(database: Engine, video: str = "a", priority: Priority = Priority.NORMAL) -> Job:
    with database.begin() as tx:
        return job_creation.create(tx, track(video), max_attempts=2, priority=priority)[0]


def claim(database: Engine, job: Job) -> Lease:
    with database.begin() as tx:
        lease = jobs.claim(tx, job.id, WORKER, 60)
    assert lease
    return lease


def split(database: Engine, job: Job, of: int = 3) -> list[Job]:
    lease = claim(database, job)
    with database.begin() as tx:
        parent = jobs.split(tx, lease, segments(of), TOTAL)
        assert parent.state is State.WAITING
        return job_records.family(tx, job.id)[-of:]


def finish(database: Engine, job: Job) -> None:
    lease = claim(database, job)
    with database.begin() as tx:
        jobs.finish(tx, lease)


def current(database: Engine, job: Job) -> Job:
    with database.begin() as tx:
        return job_records.get(tx, job.id)


def outcomes(database: Engine, job: Job) -> list[str | None]:
    with database.begin() as tx:
        return [attempt.outcome for attempt in job_records.attempts(tx, job.id)]


def test_a_split_job_waits_for_its_segments_and_is_run_again_after_the_last(
    database: Engine,
) -> None:
    job = enqueue(database, priority=Priority.HIGH)
    children = split(database, job)
    assert [child.state for child in children] == [State.QUEUED] * 3
    assert {child.priority for child in children} == {Priority.HIGH}
    for child in children:
        assert current(database, job).state is State.WAITING
        finish(database, child)
    assert current(database, job).state is State.QUEUED
    finish(database, job)
    assert outcomes(database, job) == [Outcome.SPLIT, Outcome.SUCCEEDED]


def test_the_first_split_costs_no_attempt_and_every_further_one_does(database: Engine) -> None:
    job = enqueue(database)
    for free in (1, 1):
        for child in split(database, job):
            finish(database, child)
        assert current(database, job).free_attempts == free
    lease = claim(database, job)
    with database.begin() as tx:
        assert jobs.fail(tx, lease, "bad").state is State.FAILED, "both of its attempts are used"


def test_a_job_that_was_cancelled_while_it_was_being_split_is_cancelled(database: Engine) -> None:
    job = enqueue(database)
    lease = claim(database, job)
    with database.begin() as tx:
        jobs.cancel(tx, job.id)
    with database.begin() as tx:
        assert jobs.split(tx, lease, segments(), TOTAL).state is State.CANCELLED
    with database.begin() as tx:
        assert jobs.cancel_abandoned(tx) == 3
        assert {one.state for one in job_records.family(tx, job.id)} == {State.CANCELLED}


def test_two_jobs_on_the_same_video_have_segments_of_their_own(database: Engine) -> None:
    first, second = enqueue(database, "a"), enqueue(database, "b")
    ids = {child.id for job in (first, second) for child in split(database, job)}
    assert len(ids) == 6


def test_a_waiting_parent_shows_the_progress_of_its_segments_as_its_own(database: Engine) -> None:
    job = enqueue(database)
    children = split(database, job)
    lease = claim(database, children[0])
    with database.begin() as tx:
        jobs.heartbeat(tx, lease, 60, Progress(40, 100, "frames"))
        jobs.finish(tx, lease)
    lease = claim(database, children[1])
    with database.begin() as tx:
        jobs.heartbeat(tx, lease, 60, Progress(7, 100, "frames"))
        [listed] = job_records.listing(tx)
    assert (listed.progress_done, listed.progress_total) == (107, 300)


def test_segments_are_listed_only_where_they_are_asked_for(database: Engine) -> None:
    job = enqueue(database)
    children = split(database, job)
    with database.begin() as tx:
        assert [one.id for one in job_records.listing(tx)] == [job.id]
        assert len(job_records.listing(tx, kinds=["detect"])) == 3
        assert len(job_records.listing(tx, ids=[children[0].id])) == 1


def test_segments_are_rung_for_before_what_was_asked_for_after_their_video(
    database: Engine,
) -> None:
    first, second = enqueue(database, "a"), enqueue(database, "b")
    children = split(database, first)
    with database.begin() as tx:
        rung = [job.id for job in rings.to_ring(tx, 4, 30, {})]
    assert rung == [*(child.id for child in children), second.id]


@pytest.mark.parametrize("of", [1, 7])
def test_a_segment_that_fails_for_good_fails_the_video_and_is_retried_alone(
    database: Engine, of: int
) -> None:
    job = enqueue(database)
    *good, bad = split(database, job, of)
    for child in good:
        finish(database, child)
    lease = claim(database, bad)
    with database.begin() as tx:
        jobs.fail(tx, lease, "bad frame", permanent=True)
    assert current(database, job).state is State.FAILED
    with database.begin() as tx:
        jobs.retry(tx, job.id)
    assert current(database, bad).state is State.QUEUED
    assert [current(database, child).state for child in good] == [State.SUCCEEDED] * (of - 1)
    finish(database, bad)
    assert current(database, job).state is State.QUEUED

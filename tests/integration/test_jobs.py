"""Every transition of the job protocol, on SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError

from db import job_creation, job_records, jobs
from db.dialect import now
from db.errors import LeaseLost, UsageError
from db.job_records import Job, Progress
from db.jobs import Claimant, Lease
from db.specs import Priority, RegisterSpec
from db.states import Outcome, State
from db.tables import JobRow

LEASE_S = 60.0
WORKER = Claimant("cpu-1@here", "here", "cpu")
OTHER = Claimant("cpu-2@there", "there", "cpu")


def spec(name: str = "a") -> RegisterSpec:
    content = hashlib.sha256(name.encode()).hexdigest()
    return RegisterSpec(name=name, weights=f"/weights/{name}.pt", weights_sha256=content)


def made(database: Engine, name: str = "a", **options: object) -> Job:
    with database.begin() as tx:
        job, new = job_creation.create(tx, spec(name), **{"max_attempts": 3, **options})
    assert new
    return job


def claimed(database: Engine, job: Job, by: Claimant = WORKER) -> Lease:
    with database.begin() as tx:
        lease = jobs.claim(tx, job.id, by, LEASE_S)
    assert lease is not None
    return lease


def current(database: Engine, job: Job) -> Job:
    with database.begin() as tx:
        return job_records.get(tx, job.id)


def outcomes(database: Engine, job: Job) -> list[str | None]:
    with database.begin() as tx:
        return [attempt.outcome for attempt in job_records.attempts(tx, job.id)]


def let_lease_expire(database: Engine, job: Job) -> None:
    with database.begin() as tx:
        tx.execute(update(JobRow).where(JobRow.id == job.id).values(lease_expires_at=now(-1)))


def test_a_new_job_is_queued_and_dated_by_the_database(database: Engine) -> None:
    job = made(database)
    assert job.state is State.QUEUED
    assert job.attempt == 0
    assert abs(job.created_at - datetime.now(UTC)) < timedelta(seconds=10)


def test_asking_again_returns_the_job_that_exists(database: Engine) -> None:
    first = made(database)
    with database.begin() as tx:
        again, new = job_creation.create(tx, spec(), max_attempts=3)
    assert (again.id, new) == (first.id, False)


def test_another_address_of_the_same_content_is_the_same_job() -> None:
    moved = spec().model_copy(update={"weights": "/elsewhere/b.pt"})
    assert job_creation.fingerprint(moved) == job_creation.fingerprint(spec())
    assert job_creation.fingerprint(spec("b")) != job_creation.fingerprint(spec())


def test_force_makes_another_job_which_then_answers_for_the_fingerprint(database: Engine) -> None:
    first = made(database)
    forced = made(database, force=True)
    assert forced.id != first.id
    with database.begin() as tx:
        again, new = job_creation.create(tx, spec(), max_attempts=3)
    assert (again.id, new) == (forced.id, False)


def test_the_database_itself_refuses_a_second_live_job_of_a_fingerprint(database: Engine) -> None:
    first, second = made(database, "a"), made(database, "b")
    with pytest.raises(IntegrityError), database.begin() as tx:
        tx.execute(
            update(JobRow).where(JobRow.id == second.id).values(fingerprint=first.fingerprint)
        )


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_a_job_that_ended_badly_does_not_answer_for_its_fingerprint(
    database: Engine, ending: str
) -> None:
    job = made(database)
    with database.begin() as tx:
        if ending == "cancelled":
            jobs.cancel(tx, job.id)
        else:
            lease = jobs.claim(tx, job.id, WORKER, LEASE_S)
            assert lease
            jobs.fail(tx, lease, "bad", permanent=True)
    assert made(database).id != job.id


def test_a_claim_starts_an_attempt_and_holds_a_lease(database: Engine) -> None:
    job = made(database)
    lease = claimed(database, job)
    assert lease.job.state is State.RUNNING
    assert lease.job.attempt == 1
    assert lease.job.worker == WORKER.worker
    expires = lease.job.lease_expires_at
    assert expires is not None
    assert 50 < (expires - datetime.now(UTC)).total_seconds() < 70
    assert outcomes(database, job) == [None]


@pytest.mark.parametrize("state", ["running", "succeeded", "failed", "cancelled", "waiting"])
def test_a_message_for_a_job_that_is_not_queued_is_dropped(database: Engine, state: str) -> None:
    if state == "waiting":
        job = made(database, children=[spec("child")])
    else:
        job = made(database)
        with database.begin() as tx:
            if state == "cancelled":
                jobs.cancel(tx, job.id)
            else:
                lease = jobs.claim(tx, job.id, WORKER, LEASE_S)
                assert lease
                if state == "succeeded":
                    jobs.finish(tx, lease)
                if state == "failed":
                    jobs.fail(tx, lease, "bad", permanent=True)
    assert current(database, job).state == state
    with database.begin() as tx:
        assert jobs.claim(tx, job.id, OTHER, LEASE_S) is None
        assert jobs.claim(tx, 999, OTHER, LEASE_S) is None


def test_a_heartbeat_renews_the_lease_and_writes_progress(database: Engine) -> None:
    job = made(database)
    lease = claimed(database, job)
    let_lease_expire(database, job)
    with database.begin() as tx:
        wish = jobs.heartbeat(tx, lease, LEASE_S, Progress(10, 100, "frames", "detecting"))
    assert wish is False
    seen = current(database, job)
    assert (seen.progress_done, seen.progress_total) == (10, 100)
    assert (seen.progress_unit, seen.progress_note) == ("frames", "detecting")
    with database.begin() as tx:
        assert jobs.expired(tx) == []


def test_a_heartbeat_without_progress_keeps_the_last_one(database: Engine) -> None:
    job = made(database)
    lease = claimed(database, job)
    with database.begin() as tx:
        jobs.heartbeat(tx, lease, LEASE_S, Progress(10))
        jobs.heartbeat(tx, lease, LEASE_S)
    assert current(database, job).progress_done == 10


def test_a_finished_job_has_no_lease_and_its_attempt_is_closed(database: Engine) -> None:
    job = made(database)
    lease = claimed(database, job)
    with database.begin() as tx:
        jobs.finish(tx, lease)
    done = current(database, job)
    assert done.state is State.SUCCEEDED
    assert (done.lease_token, done.lease_expires_at) == (None, None)
    assert done.ended_at is not None
    assert outcomes(database, job) == [Outcome.SUCCEEDED]


@pytest.mark.parametrize(
    ("written", "last", "shown"),
    [
        (Progress(0, None, "frames", "reading"), Progress(174, 175, "frames"), (175, 175)),
        (Progress(20, 175, "frames", "detecting"), None, (175, 175)),
        (Progress(20, None, "frames", "detecting"), Progress(60, None, "frames"), (60, None)),
    ],
)
def test_a_finished_job_has_the_last_progress_that_it_told(
    database: Engine,
    written: Progress,
    last: Progress | None,
    shown: tuple[float, float | None],
) -> None:
    job = made(database)
    lease = claimed(database, job)
    with database.begin() as tx:
        jobs.heartbeat(tx, lease, 60, written)
    with database.begin() as tx:
        jobs.finish(tx, lease, last)
    done = current(database, job)
    assert (done.progress_done, done.progress_total) == shown


def test_a_failed_attempt_is_queued_again_with_backoff_until_none_is_left(
    database: Engine,
) -> None:
    job = made(database, max_attempts=2)
    with database.begin() as tx:
        lease = jobs.claim(tx, job.id, WORKER, LEASE_S)
        assert lease
        again = jobs.fail(tx, lease, "out of luck", "Traceback …", backoff_s=100)
    assert again.state is State.QUEUED
    assert again.not_before is not None
    assert 90 < (again.not_before - datetime.now(UTC)).total_seconds() < 110
    with database.begin() as tx:
        assert jobs.claim(tx, job.id, WORKER, LEASE_S) is None, "the backoff holds"
        tx.execute(update(JobRow).values(not_before=now(-1)))
        lease = jobs.claim(tx, job.id, WORKER, LEASE_S)
        assert lease
        last = jobs.fail(tx, lease, "again")
    assert (last.state, last.error) == (State.FAILED, "again")
    with database.begin() as tx:
        first, second = job_records.attempts(tx, job.id)
    assert (first.outcome, first.error, first.traceback) == ("failed", "out of luck", "Traceback …")
    assert (second.attempt, second.error) == (2, "again")


def test_a_permanent_error_fails_the_job_at_once(database: Engine) -> None:
    job = made(database)
    with database.begin() as tx:
        lease = jobs.claim(tx, job.id, WORKER, LEASE_S)
        assert lease
        assert jobs.fail(tx, lease, "no such video", permanent=True).state is State.FAILED


def test_a_job_that_is_handed_back_loses_no_attempt(database: Engine) -> None:
    job = made(database, max_attempts=1)
    lease = claimed(database, job)
    with database.begin() as tx:
        assert jobs.hand_back(tx, lease).state is State.QUEUED
    lease = claimed(database, job, OTHER)
    assert lease.job.attempt == 2
    with database.begin() as tx:
        assert jobs.fail(tx, lease, "bad").state is State.FAILED, "the one attempt it had"
    assert outcomes(database, job) == [Outcome.HANDED_BACK, Outcome.FAILED]


def test_a_queued_job_is_cancelled_at_once(database: Engine) -> None:
    job = made(database)
    with database.begin() as tx:
        assert jobs.cancel(tx, job.id).state is State.CANCELLED
    with pytest.raises(UsageError, match="over already"), database.begin() as tx:
        jobs.cancel(tx, job.id)


def test_a_running_job_is_told_by_its_next_heartbeat(database: Engine) -> None:
    job = made(database)
    lease = claimed(database, job)
    with database.begin() as tx:
        assert jobs.cancel(tx, job.id).state is State.RUNNING
    with database.begin() as tx:
        assert jobs.heartbeat(tx, lease, LEASE_S) is True
        jobs.end_cancelled(tx, lease)
    assert current(database, job).state is State.CANCELLED
    assert outcomes(database, job) == [Outcome.CANCELLED]


def _hand_back(database: Engine, lease: Lease) -> None:
    with database.begin() as tx:
        jobs.hand_back(tx, lease)


def _fail(database: Engine, lease: Lease) -> None:
    with database.begin() as tx:
        jobs.fail(tx, lease, "bad")


def _reap(database: Engine, lease: Lease) -> None:
    let_lease_expire(database, lease.job)
    with database.begin() as tx:
        jobs.reap(tx, lease)


@pytest.mark.parametrize("leave", [_hand_back, _fail, _reap])
def test_a_job_whose_cancelling_nobody_heard_is_cancelled_when_its_worker_leaves_it(
    database: Engine, leave: Callable[[Engine, Lease], None]
) -> None:
    job = made(database)
    lease = claimed(database, job)
    with database.begin() as tx:
        jobs.cancel(tx, job.id)
    leave(database, lease)
    assert current(database, job).state is State.CANCELLED


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_a_retried_job_has_all_its_attempts_again(database: Engine, ending: str) -> None:
    job = made(database, max_attempts=1)
    lease = claimed(database, job)
    with database.begin() as tx:
        if ending == "failed":
            jobs.fail(tx, lease, "bad")
        else:
            jobs.end_cancelled(tx, lease)
        assert jobs.retry(tx, job.id).state is State.QUEUED
    lease = claimed(database, job)
    assert (lease.job.attempt, lease.job.error) == (2, None)
    with database.begin() as tx:
        jobs.finish(tx, lease)
    assert current(database, job).state is State.SUCCEEDED


def test_a_live_or_succeeded_job_is_not_retried(database: Engine) -> None:
    job = made(database)
    with pytest.raises(UsageError, match="only a failed or cancelled"), database.begin() as tx:
        jobs.retry(tx, job.id)


def test_a_job_is_not_retried_while_another_does_the_same(database: Engine) -> None:
    job = made(database)
    with database.begin() as tx:
        jobs.cancel(tx, job.id)
    made(database)
    with pytest.raises(UsageError, match="another job already does"), database.begin() as tx:
        jobs.retry(tx, job.id)


def test_a_job_whose_lease_ran_out_is_queued_again(database: Engine) -> None:
    job = made(database)
    claimed(database, job)
    with database.begin() as tx:
        assert jobs.expired(tx) == [], "a lease that holds is left alone"
    let_lease_expire(database, job)
    with database.begin() as tx:
        [lease] = jobs.expired(tx)
        reaped = jobs.reap(tx, lease)
    assert reaped is not None
    assert reaped.state is State.QUEUED
    assert outcomes(database, job) == [Outcome.LOST]


def test_a_job_that_loses_its_worker_too_often_has_failed(database: Engine) -> None:
    job = made(database, max_attempts=2)
    for _ in range(2):
        claimed(database, job)
        let_lease_expire(database, job)
        with database.begin() as tx:
            [lease] = jobs.expired(tx)
            jobs.reap(tx, lease)
    failed = current(database, job)
    assert failed.state is State.FAILED
    assert "was lost" in (failed.error or "")


def test_a_reaper_that_acts_late_changes_nothing(database: Engine) -> None:
    job = made(database)
    lease = claimed(database, job)
    let_lease_expire(database, job)
    with database.begin() as tx:
        [read] = jobs.expired(tx)
    with database.begin() as tx:
        jobs.finish(tx, lease)
    with database.begin() as tx:
        assert jobs.reap(tx, read) is None
    assert current(database, job).state is State.SUCCEEDED
    assert outcomes(database, job) == [Outcome.SUCCEEDED]


def test_a_reaper_leaves_a_lease_that_was_renewed_meanwhile(database: Engine) -> None:
    job = made(database)
    lease = claimed(database, job)
    let_lease_expire(database, job)
    with database.begin() as tx:
        [read] = jobs.expired(tx)
        jobs.heartbeat(tx, lease, LEASE_S)
        assert jobs.reap(tx, read) is None
    assert current(database, job).state is State.RUNNING


@pytest.mark.parametrize("act", ["heartbeat", "finish", "fail", "hand_back", "end_cancelled"])
def test_a_worker_presumed_dead_that_comes_back_changes_nothing(database: Engine, act: str) -> None:
    job = made(database)
    late = claimed(database, job)
    let_lease_expire(database, job)
    with database.begin() as tx:
        [read] = jobs.expired(tx)
        jobs.reap(tx, read)
    claimed(database, job, OTHER)
    before = current(database, job)
    actions: dict[str, Callable[..., object]] = {
        "heartbeat": lambda tx: jobs.heartbeat(tx, late, LEASE_S, Progress(99)),
        "finish": lambda tx: jobs.finish(tx, late),
        "fail": lambda tx: jobs.fail(tx, late, "late"),
        "hand_back": lambda tx: jobs.hand_back(tx, late),
        "end_cancelled": lambda tx: jobs.end_cancelled(tx, late),
    }
    with pytest.raises(LeaseLost), database.begin() as tx:
        actions[act](tx)
    assert current(database, job) == before
    assert outcomes(database, job) == [Outcome.LOST, None]


def test_a_parent_is_queued_when_its_last_child_has_succeeded(database: Engine) -> None:
    parent = made(database, children=[spec("one"), spec("two")])
    assert parent.state is State.WAITING
    with database.begin() as tx:
        one, two = job_records.family(tx, parent.id)
    for child, state in ((one, State.WAITING), (two, State.QUEUED)):
        lease = claimed(database, child)
        with database.begin() as tx:
            jobs.finish(tx, lease)
        assert current(database, parent).state is state


def test_a_parent_fails_with_its_child_and_the_other_children_are_cancelled(
    database: Engine,
) -> None:
    parent = made(database, children=[spec("one"), spec("two"), spec("three")])
    with database.begin() as tx:
        one, two, three = job_records.family(tx, parent.id)
    running = claimed(database, two)
    lease = claimed(database, one)
    with database.begin() as tx:
        jobs.fail(tx, lease, "broken video", permanent=True)
    failed = current(database, parent)
    assert failed.state is State.FAILED
    assert f"job {one.id}" in (failed.error or "")
    assert "broken video" in (failed.error or "")
    with database.begin() as tx:
        assert jobs.cancel_abandoned(tx) == 2
    assert current(database, three).state is State.CANCELLED
    with database.begin() as tx:
        assert jobs.heartbeat(tx, running, LEASE_S) is True


def test_retrying_a_parent_keeps_the_children_that_succeeded(database: Engine) -> None:
    parent = made(database, children=[spec("one"), spec("two")])
    with database.begin() as tx:
        one, two = job_records.family(tx, parent.id)
    for child, succeeds in ((one, True), (two, False)):
        lease = claimed(database, child)
        with database.begin() as tx:
            jobs.finish(tx, lease) if succeeds else jobs.fail(tx, lease, "bad", permanent=True)
    with database.begin() as tx:
        assert jobs.retry(tx, parent.id).state is State.WAITING
    assert current(database, one).state is State.SUCCEEDED
    assert current(database, two).state is State.QUEUED
    lease = claimed(database, two)
    with database.begin() as tx:
        jobs.finish(tx, lease)
    assert current(database, parent).state is State.QUEUED


def test_cancelling_a_parent_cancels_its_children(database: Engine) -> None:
    parent = made(database, children=[spec("one")])
    with database.begin() as tx:
        [child] = job_records.family(tx, parent.id)
        jobs.cancel(tx, parent.id)
        jobs.cancel_abandoned(tx)
    assert current(database, parent).state is State.CANCELLED
    assert current(database, child).state is State.CANCELLED


def test_the_database_refuses_a_running_job_without_a_lease(database: Engine) -> None:
    job = made(database)
    with pytest.raises(IntegrityError), database.begin() as tx:
        tx.execute(update(JobRow).where(JobRow.id == job.id).values(state=State.RUNNING))


def test_jobs_are_listed_newest_first_and_filtered(database: Engine) -> None:
    low = made(database, "low", priority=Priority.LOW)
    high = made(database, "high", priority=Priority.HIGH)
    with database.begin() as tx:
        jobs.cancel(tx, low.id)
        assert [job.id for job in job_records.listing(tx)] == [high.id, low.id]
        assert [job.id for job in job_records.listing(tx, states=[State.QUEUED])] == [high.id]
        assert job_records.listing(tx, kinds=["track"]) == []
        assert job_records.count_by_state(tx) == {State.QUEUED: 1, State.CANCELLED: 1}
        assert tx.scalar(select(JobRow.queue).where(JobRow.id == high.id)) == (
            "nightshelf.cpu.high"
        )

"""The broker's settings, which have to be harmless, and the queues' names."""

from __future__ import annotations

import itertools

import pytest
from celery import Celery
from sqlalchemy import create_engine

from db import job_creation
from db.queue import QUEUES, make_app
from db.settings import Settings
from db.specs import Priority, QueueClass, RegisterSpec, Spec, TrackSpec
from db.tables import Base

SPECS: dict[QueueClass, Spec] = {
    QueueClass.GPU: TrackSpec(
        video="/v.mp4", video_sha256="a" * 64, model="m", model_sha256="b" * 64
    ),
    QueueClass.CPU: RegisterSpec(name="m", weights="/w.pt", weights_sha256="c" * 64),
}


@pytest.fixture
def app() -> Celery:
    return make_app(Settings(broker_url="redis://:hunter2@host:6379/0"))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("task_acks_late", True),
        ("task_reject_on_worker_lost", False),
        ("task_ignore_result", True),
        ("result_backend", None),
        ("task_serializer", "json"),
        ("accept_content", ["json"]),
        ("worker_prefetch_multiplier", 1),
        ("broker_connection_retry_on_startup", True),
        ("worker_cancel_long_running_tasks_on_connection_loss", False),
        ("task_create_missing_queues", False),
    ],
)
def test_a_delivery_setting_loses_and_repeats_no_work(
    app: Celery, setting: str, value: object
) -> None:
    assert app.conf[setting] == value


def test_an_unacknowledged_message_comes_back_after_a_day_and_not_during_a_job(
    app: Celery,
) -> None:
    assert app.conf.broker_transport_options["visibility_timeout"] == 24 * 60 * 60


def test_ringing_waits_for_no_broker_that_is_away_and_a_worker_for_ever(app: Celery) -> None:
    assert app.conf.broker_transport_options["max_retries"] == 0
    assert app.conf.broker_connection_max_retries is None


def test_a_worker_looks_into_the_queues_in_the_order_of_their_priorities(app: Celery) -> None:
    assert app.conf.broker_transport_options["queue_order_strategy"] == "priority"
    priorities = [Priority[name.rpartition(".")[2].upper()] for name in QUEUES]
    assert priorities == sorted(priorities, reverse=True)


def test_every_queue_has_an_exchange_and_a_key_of_its_own(app: Celery) -> None:
    queues = app.conf.task_queues
    assert [queue.name for queue in queues] == list(QUEUES)
    assert [queue.exchange.name for queue in queues] == list(QUEUES)
    assert [queue.routing_key for queue in queues] == list(QUEUES)


def test_every_job_is_sent_to_a_queue_that_workers_look_into() -> None:
    database = create_engine("sqlite://")
    written = set()
    with database.begin() as tx:
        Base.metadata.create_all(tx)
        for queue_class, priority in itertools.product(QueueClass, Priority):
            assert SPECS[queue_class].queue_class is queue_class
            job, _ = job_creation.create(
                tx, SPECS[queue_class], max_attempts=1, priority=priority, force=True
            )
            written.add(job.queue)
    database.dispose()
    assert written == set(QUEUES)
    assert len(written) == len(QueueClass) * len(Priority)


def test_the_brokers_password_is_not_in_what_celery_prints_of_it(app: Celery) -> None:
    connection = app.connection_for_write()
    for text in (repr(app), repr(connection), connection.as_uri()):
        assert "hunter2" not in text
    assert connection.password == "hunter2"

"""The bell: the Celery application, and `ring`, which tells the workers that a job is there.

A message carries a job's id and nothing else. Losing one loses no work and sending it twice does
none twice: docs/jobs.md says why that has to be so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from celery import Celery, Task
from celery.exceptions import InvalidTaskError
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import Engine

from db import rings
from db.errors import Unreachable
from db.job_records import Job
from db.settings import Settings, settings

# A message that was popped but not acknowledged returns after this long. Shorter than a job, it
# would run the job's message twice; the shortest value of any client counts for all of them.
VISIBILITY_TIMEOUT_S = 24 * 3600

# A worker answers a ping at once; it may have to wait for a processor.
_PING_S = 5.0

QUEUES = rings.QUEUES

# The largest number that either database has for an INTEGER column that is a primary key.
_MAX_JOB_ID = 2**31 - 1

_AWAY = (OperationalError, RedisError, OSError)


def _away(error: BaseException) -> Unreachable:
    # The error's own text may hold the address, and that a password.
    return Unreachable(f"the broker does not answer: {type(error).__name__}")


def _queue(name: str) -> Queue:
    # With an exchange of its own: on a shared one a message would reach every queue.
    return Queue(name, Exchange(name), routing_key=name)  # type: ignore[no-untyped-call]


class JobTask(Task):  # type: ignore[misc]
    """A task that runs for messages such as `ring` sends, and for no others."""

    abstract = True
    Strategy = "db.queue:only_rings"


def only_rings(task: Task, app: Celery, consumer: Any, **options: Any) -> Callable[..., None]:
    """Celery's own way to take a message, once the message is seen to be one of ours.

    Celery 5.7 takes the body of any message apart in the thread that is to run it, and a body of
    another form ends that thread's work without a word: the message stays with the worker, and
    with a prefetch of 1 the worker takes no other from then on.
    """
    from celery.worker import strategy  # what only rings needs no worker

    take: Callable[..., None] = strategy.default(task, app, consumer, **options)

    def take_ring(message: Any, body: Any, *more: Any, **named: Any) -> None:
        if body is not None or not _is_ring(message.payload):
            raise InvalidTaskError("it names no job, or more than that")
        # Nobody of ours asks for a time to begin or to end.
        message.headers.update(eta=None, expires=None, timelimit=None, retries=0)
        take(message, body, *more, **named)

    return take_ring


def _is_ring(payload: Any) -> bool:
    """Whether the body of a message names a job and nothing else: no callbacks, no chain."""
    match payload:
        case [[int(job_id)], {**named}, {**embedded}]:
            names_a_job = not isinstance(job_id, bool) and 0 < job_id <= _MAX_JOB_ID
            return names_a_job and not named and not any(embedded.values())
    return False


def make_app(config: Settings) -> Celery:
    """The Celery application for these settings; nothing connects yet."""
    app = Celery("nightshelf", broker=config.broker, task_cls=JobTask)
    app.conf.update(
        task_queues=[_queue(name) for name in QUEUES],
        task_default_queue=QUEUES[-1],
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        task_track_started=True,
        task_send_sent_event=True,
        worker_prefetch_multiplier=1,
        worker_send_task_events=True,
        # Our own log configuration stays as it is.
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # The claimed job goes on while the broker is away: SQL holds it.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            "queue_order_strategy": "priority",
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 30,
            # Whoever rings does not wait for a broker that is away: the reconciler rings again.
            # A worker's own connection is governed by broker_connection_max_retries.
            "max_retries": 0,
        },
    )
    return app


app = make_app(settings())


def ring(job: Job) -> None:
    """Send the message for a job.

    Raises:
        Unreachable: the broker does not answer. Nothing is lost: the reconciler rings again.
    """
    try:
        app.send_task(
            f"nightshelf.{job.kind}",
            args=(job.id,),
            # Under its own id, so that Flower shows a job once however often it was rung for.
            task_id=str(job.id),
            argsrepr=f"{job.id} {job.label}",
            kwargsrepr="",
            queue=job.queue,
            retry=False,
            ignore_result=True,
        )
    except _AWAY as error:
        raise _away(error) from error


def message_counts() -> dict[str, int]:
    """How many messages each queue holds that no worker has taken yet.

    Raises:
        Unreachable: the broker does not answer.
    """
    try:
        with app.pool.acquire(block=True) as connection:
            redis = connection.default_channel.client
            return {name: int(redis.llen(name)) for name in QUEUES}
    except _AWAY as error:
        raise _away(error) from error


def ping(host: str) -> bool:
    """Whether a worker on a host answers within a few seconds.

    Raises:
        Unreachable: the broker does not answer.
    """
    one = app.control.inspect(timeout=_PING_S, limit=1, pattern=f"*@{host}", matcher="glob")
    try:
        return bool(one.ping())
    except _AWAY as error:
        raise _away(error) from error


def ring_due(engine: Engine, config: Settings) -> list[Job]:
    """Ring for every job that a message is due for; returns them.

    Raises:
        Unreachable: the broker does not answer; the jobs will be rung for later.
    """
    messages = message_counts()
    with engine.begin() as tx:
        due = rings.to_ring(tx, config.ring_depth, config.ring_again_s, messages)
    for position, job in enumerate(due):
        try:
            ring(job)
        except Unreachable:
            _unring(engine, due[position:])
            raise
    return due


def _unring(engine: Engine, jobs: Iterable[Job]) -> None:
    with engine.begin() as tx:
        rings.unring(tx, [job.id for job in jobs])

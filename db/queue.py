"""The bell: the Celery application, and `ring`, which tells the workers that a job is there.

A message carries a job's id and nothing else. Losing one loses no work and sending it twice does
none twice: docs/jobs.md says why that has to be so.
"""

from __future__ import annotations

from collections.abc import Iterable

from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import Engine

from db import rings
from db.errors import Unreachable
from db.job_records import Job
from db.settings import Settings, settings
from db.specs import Priority, QueueClass

# A message that was popped but not acknowledged returns after this long. Shorter than a job, it
# would run the job's message twice; the shortest value of any client counts for all of them.
VISIBILITY_TIMEOUT_S = 24 * 3600

# A worker answers a ping at once; it may have to wait for a processor.
_PING_S = 5.0

# The order is that in which a worker looks into them.
QUEUES = tuple(
    f"nightshelf.{queue_class}.{priority.name.lower()}"
    for priority in sorted(Priority, reverse=True)
    for queue_class in QueueClass
)


_AWAY = (OperationalError, RedisError, OSError)


def _away(error: BaseException) -> Unreachable:
    # The error's own text may hold the address, and that a password.
    return Unreachable(f"the broker does not answer: {type(error).__name__}")


def _queue(name: str) -> Queue:
    # With an exchange of its own: on a shared one a message would reach every queue.
    return Queue(name, Exchange(name), routing_key=name)  # type: ignore[no-untyped-call]


def make_app(config: Settings) -> Celery:
    """The Celery application for these settings; nothing connects yet."""
    app = Celery("nightshelf", broker=config.broker)
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

"""Whether the broker is harmless: it is trusted with nothing, but what it loses costs time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from celery import Celery
from kombu.exceptions import OperationalError
from kombu.transport.redis import Channel
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from db.doctor.clock import clock, offset_s
from db.doctor.finding import Finding, Verdict, unseen
from db.doctor.listening import password, reach
from db.queue import QUEUES, VISIBILITY_TIMEOUT_S, make_app
from db.settings import PREFIX, Settings

T = TypeVar("T")

# Kombu takes back what was not acknowledged by `ZRANGE … BYSCORE REV`, which came with Redis 6.2.
_OLDEST = (6, 2)

_LISTENING = ("port", "tls-port", "bind", "protected-mode")

# How long Celery's workers have to answer; they do within milliseconds, also during a job.
_ANSWER_S = 1.0

_WORKERS = "workers' visibility timeout"

_LOOK_THERE = "this user may not ask for it: look where the server is managed"


def examine(config: Settings) -> list[Finding]:
    """Everything about the broker of `config` and the workers on it."""
    return _look(config, _everything)


def essentials(config: Settings) -> list[Finding]:
    """What a worker has to know before it starts; a broker that is away is no reason not to."""
    return _look(config, lambda app, client: _server(client))


def _look(config: Settings, questions: Callable[[Celery, Any], list[Finding]]) -> list[Finding]:
    app = make_app(config)
    options = app.conf.broker_transport_options
    found = [own_visibility_timeout(_visibility_timeout_s(options))]
    try:
        connection = app.connection_for_write()
    except (KeyError, ValueError):
        # The error's own text may hold a part of the address, and that a password.
        cure = f"{PREFIX}BROKER_URL looks like redis://:password@host:6379/0"
        return [Finding("broker", "its address cannot be read", Verdict.BAD, cure), *found]
    try:
        with connection:
            return [*questions(app, connection.default_channel.client), *found]
    except (OperationalError, RedisError, OSError) as error:
        return [_away(error, config), *found]


def _away(error: BaseException, config: Settings) -> Finding:
    reason = error.__cause__ or error
    if isinstance(reason, AuthenticationError):
        value, cure = "it refuses the password", f"mend the password in {PREFIX}BROKER_URL"
    else:
        value = f"it does not answer: {type(reason).__name__}"
        where = f"check {PREFIX}BROKER_URL, and that the server runs"
        cure = "start `nightshelf up`" if config.embedded_broker else where
    return Finding("broker", value, Verdict.BAD, f"{cure}; jobs wait in SQL meanwhile")


def _server(client: Any) -> list[Finding]:
    info = _ask(client.info) or {}
    return [version(info), eviction(info), append_only(info)]


def _everything(app: Celery, client: Any) -> list[Finding]:
    return [*_server(client), _password(client), _clock(client), _messages(client), _workers(app)]


def _ask(question: Callable[[], T]) -> T | None:
    """What the server answers; None where it refuses to, as managed ones do."""
    try:
        return question()
    except ResponseError:
        return None


def version(info: Mapping[str, Any]) -> Finding:
    """The verdict on a server's version, as `INFO` tells it."""
    what = "broker"
    if "redis_version" not in info:
        return unseen(what, _LOOK_THERE)
    number = str(info["redis_version"])
    value = f"Redis {number}"
    if info.get("server_name") == "valkey":
        value = f"Valkey {info['valkey_version']}"
    if tuple(map(int, number.split(".")[:2])) >= _OLDEST:
        return Finding(what, value)
    cure = "upgrade it to 6.2 or later: messages of workers that died would never come back"
    return Finding(what, value, Verdict.FATAL, cure)


def eviction(info: Mapping[str, Any]) -> Finding:
    """The verdict on what a server does when its memory is full, as `INFO` tells it."""
    what = "broker's maxmemory-policy"
    if not {"maxmemory_policy", "maxmemory"} <= info.keys():
        return unseen(what, _LOOK_THERE)
    policy, limit = str(info["maxmemory_policy"]), int(info["maxmemory"])
    value = f"{policy}, " + (f"at {limit / 2**20:g} MiB" if limit else "no limit set")
    cure = "set maxmemory-policy to noeviction"
    if policy == "noeviction":
        return Finding(what, value)
    if not limit:
        return Finding(what, value, Verdict.WARNING, f"{cure}, before maxmemory is set")
    if policy.startswith("volatile-"):
        # Queues have no expiry, and so stay; of ours only a lock has one.
        return Finding(what, value, Verdict.WARNING, cure)
    return Finding(what, value, Verdict.FATAL, f"{cure}: this one deletes queues")


def append_only(info: Mapping[str, Any]) -> Finding:
    """The verdict on whether a server's messages survive its restart, as `INFO` tells it."""
    what = "broker's appendonly"
    if "aof_enabled" not in info:
        return unseen(what, _LOOK_THERE)
    if info["aof_enabled"]:
        return Finding(what, "yes")
    cure = f"set appendonly yes: after a restart jobs wait {PREFIX}RING_AGAIN_S to be rung for"
    return Finding(what, "no", Verdict.WARNING, cure)


def _password(client: Any) -> Finding:
    settings = _ask(lambda: {name: client.config_get(name)[name] for name in _LISTENING})
    host = client.connection_pool.connection_kwargs.get("host")
    return password(reach(settings, host), _lets_anybody_in(client))


def _lets_anybody_in(client: Any) -> bool:
    """Whether the server answers somebody who gives no name and no password."""
    pool = client.connection_pool
    secrets = ("username", "password", "credential_provider")
    known = {key: value for key, value in pool.connection_kwargs.items() if key not in secrets}
    stranger = pool.connection_class(**known)
    try:
        stranger.connect()
        stranger.send_command("PING")
        return stranger.read_response() in (b"PONG", "PONG")
    except (AuthenticationError, ResponseError):
        return False
    finally:
        stranger.disconnect()


def _clock(client: Any) -> Finding:
    def read() -> datetime:
        seconds, microseconds = client.time()
        return datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)

    offset = _ask(lambda: offset_s(read))
    whose = "broker's"
    return unseen(f"{whose} clock", _LOOK_THERE) if offset is None else clock(whose, offset)


def _messages(client: Any) -> Finding:
    what = "messages"
    counts = _ask(lambda: {name: int(client.llen(name)) for name in QUEUES})
    if counts is None:
        return unseen(what, "let this user read lists: it cannot work like this")
    waiting = [f"{count} in {name}" for name, count in counts.items() if count]
    return Finding(what, ", ".join(waiting) or "none waits")


def _visibility_timeout_s(transport_options: Mapping[str, Any]) -> float:
    return float(transport_options.get("visibility_timeout", Channel.visibility_timeout))


def own_visibility_timeout(timeout_s: float) -> Finding:
    """The verdict on the time after which this client takes a message for lost, in seconds."""
    what, value = "visibility timeout", f"{timeout_s:g} s"
    if timeout_s >= VISIBILITY_TIMEOUT_S:
        return Finding(what, value)
    cure = f"set visibility_timeout to {VISIBILITY_TIMEOUT_S} s: messages return during a job"
    return Finding(what, value, Verdict.FATAL, cure)


def _workers(app: Celery) -> Finding:
    # `None` where nobody answers.
    answers = _ask(lambda: app.control.inspect(timeout=_ANSWER_S).conf() or {})
    if answers is None:
        return unseen(
            _WORKERS, "allow this user what Celery asks workers with: `+@all -@dangerous`"
        )
    return visibility_timeouts(
        {
            worker: _visibility_timeout_s(conf.get("broker_transport_options") or {})
            for worker, conf in answers.items()
        }
    )


def visibility_timeouts(seconds_by_worker: Mapping[str, float]) -> Finding:
    """The verdict on the same time of the Celery workers that answered, ours or others'.

    The shortest counts for all: any worker gives back what any other has not acknowledged. What
    is no Celery worker does not answer, and cannot be seen.
    """
    if not seconds_by_worker:
        return Finding(_WORKERS, "no worker answers")
    worker, shortest_s = min(seconds_by_worker.items(), key=lambda item: item[1])
    value = f"{shortest_s:g} s, the shortest of {len(seconds_by_worker)}"
    if shortest_s >= VISIBILITY_TIMEOUT_S:
        return Finding(_WORKERS, value)
    cure = (
        f"set visibility_timeout of {worker} to {VISIBILITY_TIMEOUT_S} s, "
        "or give it another database of the broker"
    )
    return Finding(_WORKERS, value, Verdict.BAD, cure)

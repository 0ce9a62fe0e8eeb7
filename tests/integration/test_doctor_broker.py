"""What `nightshelf doctor` sees of real brokers that are set wrongly."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from db.doctor.broker import essentials
from db.doctor.broker import examine as examine_broker
from db.queue import QUEUES
from db.settings import Settings
from tests.findings import BAD, FATAL, SECRET, WARNING, Verdict, as_user, by_name, wrong
from tests.servers import Valkey, valkey


def on_broker(url: str) -> Settings:
    return Settings(broker_url=url)


@pytest.mark.parametrize(
    ("broker", "name"), [("valkey", "Valkey "), ("redis", "Redis ")], indirect=["broker"]
)
def test_a_broker_set_as_it_should_be_is_well(broker: Valkey, name: str) -> None:
    found = examine_broker(on_broker(broker.url))
    assert wrong(found) == {}
    values = {what: one.value for what, one in by_name(found).items()}
    assert values["broker"].startswith(name)
    assert values["broker's password"] == "none; only this machine can reach it"
    assert values["messages"] == "none waits"
    assert values["workers' visibility timeout"] == "no worker answers"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"),
            {"broker's maxmemory-policy": FATAL},
        ),
        (
            ("--maxmemory", "64mb", "--maxmemory-policy", "volatile-lru"),
            {"broker's maxmemory-policy": WARNING},
        ),
        (("--maxmemory-policy", "allkeys-lru"), {"broker's maxmemory-policy": WARNING}),
        (("--maxmemory", "64mb"), {}),
        (("--appendonly", "no"), {"broker's appendonly": WARNING}),
    ],
)
def test_a_broker_set_wrongly_is_told_by_what_is_wrong(
    options: tuple[str, ...], expected: dict[str, Verdict]
) -> None:
    with valkey(*options) as server:
        assert wrong(examine_broker(on_broker(server.url))) == expected


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--bind", "0.0.0.0", "--protected-mode", "no"), {"broker's password": BAD}),
        (("--bind", "0.0.0.0"), {"broker's password": WARNING}),
        (("--bind", "127.0.0.1", "--protected-mode", "no"), {}),
        (("--bind", "0.0.0.0", "--protected-mode", "no", "--requirepass", SECRET), {}),
    ],
)
def test_a_broker_that_other_machines_can_reach_must_want_a_password(
    options: tuple[str, ...], expected: dict[str, Verdict]
) -> None:
    port = free_port()
    with valkey("--port", port, *options):
        needed = f":{SECRET}@" if "--requirepass" in options else ""
        found = examine_broker(on_broker(f"redis://{needed}127.0.0.1:{port}/0"))
        assert wrong(found) == expected


@pytest.mark.parametrize("given", ["", "nobody:", "default:hunter22"])
def test_a_broker_that_refuses_the_password_is_told_from_one_that_is_away(given: str) -> None:
    with valkey("--requirepass", SECRET) as server:
        url = as_user(server.url, *given.split(":")) if given else server.url
        found = by_name(examine_broker(on_broker(url)))
    assert found["broker"].verdict is BAD
    assert found["broker"].value == "it refuses the password"


def test_what_a_managed_broker_refuses_to_tell_is_a_warning(broker: Valkey) -> None:
    with broker.client() as client:
        rights = ("~*", "&*", "+@all", "-config", "-info")
        client.execute_command("ACL", "SETUSER", "shop", "on", f">{SECRET}", *rights)
    found = examine_broker(on_broker(as_user(broker.url, "shop", SECRET)))
    assert wrong(found) == dict.fromkeys(
        (
            "broker",
            "broker's maxmemory-policy",
            "broker's appendonly",
            "broker's password",  # the default user has none; where it listens is not told
        ),
        WARNING,
    )


def test_a_user_of_the_broker_without_rights_is_told_so(broker: Valkey) -> None:
    with broker.client() as client:
        rights = ("resetkeys", "~other:*", "resetchannels", "+@all", "-time")
        client.execute_command("ACL", "SETUSER", "shop", "on", f">{SECRET}", *rights)
    found = examine_broker(on_broker(as_user(broker.url, "shop", SECRET)))
    assert wrong(found) == dict.fromkeys(
        ("messages", "broker's clock", "workers' visibility timeout"), WARNING
    )


@pytest.mark.parametrize(
    ("url", "value"),
    [
        (f"redis://:{SECRET}@127.0.0.1:1/0", "it does not answer: ConnectionError"),
        ("redis+socket:///nowhere/broker.sock", "it does not answer: ConnectionError"),
        (f"carrier-pigeon://:{SECRET}@host", "its address cannot be read"),
        (f"redis://:{SECRET}/x@host:port/0", "its address cannot be read"),
    ],
)
def test_a_broker_that_is_away_is_bad_and_no_reason_for_a_worker_not_to_start(
    url: str, value: str
) -> None:
    for questions in (examine_broker, essentials):
        found = questions(on_broker(url))
        assert wrong(found) == {"broker": BAD}
        assert by_name(found)["broker"].value == value


def test_the_messages_that_wait_are_counted(broker: Valkey) -> None:
    with broker.client() as client:
        client.rpush(QUEUES[0], "one", "two")
        client.rpush(QUEUES[-1], "three")
    found = by_name(examine_broker(on_broker(broker.url)))
    assert found["messages"].value == f"2 in {QUEUES[0]}, 1 in {QUEUES[-1]}"


def test_looking_at_a_broker_takes_and_adds_no_message(broker: Valkey) -> None:
    with broker.client() as client:
        client.rpush(QUEUES[0], "one")
        examine_broker(on_broker(broker.url))
        assert client.lrange(QUEUES[0], 0, -1) == [b"one"]
        queues = [key for key in client.scan_iter() if client.type(key) == b"list"]
        assert queues == [QUEUES[0].encode()]


_OTHERS_WORKER = """\
from celery import Celery
app = Celery("others", broker={url!r})
app.conf.broker_transport_options = {options!r}
"""


@contextmanager
def others_worker(folder: Path, url: str, options: dict[str, object]) -> Iterator[None]:
    """A Celery worker of somebody else, on our broker."""
    (folder / "others.py").write_text(_OTHERS_WORKER.format(url=url, options=options))
    command = ["celery", "--app", "others", "worker", "--pool", "solo", "--hostname", "others@x"]
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize(
    ("options", "seconds"), [({"visibility_timeout": 60}, 60), ({}, 3600)], ids=["set", "default"]
)
def test_another_worker_on_the_broker_that_takes_messages_back_early_is_named(
    tmp_path: Path, broker: Valkey, options: dict[str, object], seconds: int
) -> None:
    with others_worker(tmp_path, broker.url, options):
        limit = time.monotonic() + 60
        while not (bad := wrong(found := examine_broker(on_broker(broker.url)))):
            assert time.monotonic() < limit, found
    assert bad == {"workers' visibility timeout": BAD}
    seen = by_name(found)["workers' visibility timeout"]
    assert seen.value == f"{seconds} s, the shortest of 1"
    assert "others@x" in seen.cure

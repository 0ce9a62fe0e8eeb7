"""Passwords: in no output, no log, no traceback and no process list, whatever goes wrong."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from sqlalchemy import make_url

from tests.compose_services import free_port
from tests.deployment import REPOSITORY, Deployment, deployment
from tests.servers import Valkey, valkey

# Part of every password here, as it is and as an address has it.
MARK = "Zq7x"
DATABASE, BROKER, WRONG, FLOWER = (f"{MARK}@{n}/#:é%41 {{x}}" for n in ("db", "br", "no", "fl"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
    pytest.mark.parametrize("log_format", ["text", "json"]),
]


def broker_url(port: int, password: str) -> str:
    return f"redis://:{quote(password, safe='')}@127.0.0.1:{port}/0"


@pytest.fixture
def locked() -> Iterator[tuple[Valkey, int]]:
    """A broker with a password, and its port."""
    port = free_port()
    with valkey("--port", str(port)) as server:
        with server.client() as client:  # not by an option, which a process list would show
            client.config_set("requirepass", BROKER)
        yield server, port


@pytest.fixture
def site(
    home: Path, database_url: str, locked: tuple[Valkey, int], log_format: str
) -> Iterator[Deployment]:
    url = make_url(database_url).set(password=DATABASE)
    settings = {
        "NIGHTSHELF_LOG_LEVEL": "DEBUG",
        "NIGHTSHELF_LOG_FORMAT": log_format,
        "NIGHTSHELF_FLOWER_AUTH": f"night:{FLOWER.replace(' ', '')}",
        "NIGHTSHELF_FLOWER_PORT": str(free_port()),
    }
    address = url.render_as_string(hide_password=False)
    assert MARK in address
    with deployment(home, address, broker_url(locked[1], BROKER), **settings) as made:
        yield made


@contextmanager
def no_secret_in_the_process_list() -> Iterator[None]:
    """Look at the command line of every process of this machine, all the while."""
    found: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):  # the shortest-lived of them takes half a second
            for process in psutil.process_iter(["cmdline"]):
                line = " ".join(process.info["cmdline"] or ())
                if MARK in line:
                    found.add(line)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield
    finally:
        over.set()
        looker.join()
    assert not found


def said(site: Deployment, *arguments: str, **settings: str) -> str:
    """All that `nightshelf ARGUMENTS` says, however it ends."""
    done = subprocess.run(
        [sys.executable, "-m", "producer", *arguments],
        env=site.environment | settings,
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout


COMMANDS = [
    ("doctor",),
    ("doctor", "--json"),
    ("db", "upgrade"),
    ("jobs", "list"),
    ("healthy", "worker"),
    ("healthy", "reconcile"),
    ("metrics",),
    ("report", "tracks", "1"),
    ("track", "README.md", "--model", "none"),
    ("reconcile", "--once"),
]


def test_no_password_is_shown_where_all_is_well(site: Deployment) -> None:
    with no_secret_in_the_process_list():
        for part in ("worker", "reconcile", "flower"):
            site.start(part)
        site.until(lambda: "ready" in (site.home / "log").read_text())
        outputs = {command: said(site, *command) for command in COMMANDS}
    for command, output in outputs.items():
        assert output, command
        assert MARK not in output, command
    assert MARK not in (site.home / "log").read_text()


def test_no_password_is_shown_where_a_server_refuses_or_is_away(
    site: Deployment, locked: tuple[Valkey, int]
) -> None:
    away = quote(DATABASE, safe="")
    wrong = {"NIGHTSHELF_BROKER_URL": broker_url(locked[1], WRONG)}
    gone = {"NIGHTSHELF_DATABASE_URL": f"postgresql+psycopg://u:{away}@127.0.0.1:1/nightshelf"}
    no_address = {"NIGHTSHELF_DATABASE_URL": f"postgresql+psycopg://u:{DATABASE}@host:port/x"}
    no_broker = {"NIGHTSHELF_BROKER_URL": f"redis://:{WRONG}@[::1"}
    cases = [
        *((("worker",), settings) for settings in (gone, no_address)),
        *((("reconcile", "--once"), settings) for settings in (wrong, gone, no_broker)),
        *((("doctor", "--json"), settings) for settings in (wrong, gone, no_broker)),
        (("metrics",), gone),
        (("healthy", "worker"), wrong),
    ]
    with no_secret_in_the_process_list(), ThreadPoolExecutor(4) as several:
        outputs = list(several.map(lambda case: said(site, *case[0], **case[1]), cases))
        site.environment |= wrong
        site.start("worker")
        site.until(lambda: "Cannot connect" in (site.home / "log").read_text())
    for (command, settings), output in zip(cases, outputs, strict=True):
        assert MARK not in output, (command, settings)
        assert output, (command, settings)
    assert MARK not in (site.home / "log").read_text()

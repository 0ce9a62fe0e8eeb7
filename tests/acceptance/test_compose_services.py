"""A job through the services of docker-compose.yml, an upgrade between, and what Flower shows."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.compose_file import load
from tests.compose_services import PASSWORDS, VALUES, Services, free_port, valkey_of_the_file
from tests.deployment import WEIGHTS
from tests.servers import PostgresCluster, absent


@pytest.fixture
def services(home: Path, postgres: PostgresCluster) -> Iterator[Services]:
    """The file's services around a database and a broker; nothing of ours runs yet."""
    for inside in ("var/lib/nightshelf", "footage", "weights", "run/flower", "broker"):
        (home / inside).mkdir(parents=True)
    postgres.create("nightshelf")
    with valkey_of_the_file(home / "broker") as port:
        made = Services(home, postgres, port)
        try:
            yield made
        finally:
            for name in list(made.running):
                made.stop(name)
    postgres.drop("nightshelf")


def command_lines() -> str:
    """What `ps` shows of every process of this machine."""
    found = [one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])]
    return "\n".join(" ".join(words) for words in found)


def secrets_in(text: str) -> list[str]:
    return [password for password in PASSWORDS.values() if password in text]


@pytest.mark.slow
def test_a_job_runs_through_the_services_and_an_upgrade_between(
    services: Services, clip: Path
) -> None:
    shutil.copy(clip, services.folder / "footage")
    shutil.copy(WEIGHTS, services.folder / "weights")
    assert "from nothing to" in services.migrate()
    for name in ("worker-cpu", "reconciler", "flower", "metrics"):
        services.start(name)
    shown = ""
    for name in ("worker-cpu", "reconciler", "flower", "metrics"):
        services.until_healthy(name)
        shown += command_lines()
    services.run("reconciler", *("models", "add", "/weights/products.pt", "--name", "products"))
    asked = services.run("reconciler", *("track", "/footage", "--model", "products", "--json"))
    [job] = json.loads(asked.stdout)
    until_under_way(services, job["id"])
    with held(services):
        assert services.until_healthy("worker-cpu").startswith("1 running on ")
        shown += command_lines()

    # The upgrade of docs/deploy.md: drain, migrate, start.
    services.stop("worker-cpu")
    assert services.job(job["id"])["state"] == "queued"
    assert "up to date" in services.migrate()
    services.start("worker-cpu")
    services.run("reconciler", "jobs", "watch", str(job["id"]))

    outcomes = [one["outcome"] for one in services.job(job["id"])["attempts"]]
    assert outcomes == ["handed back", "succeeded"]
    counts = services.run("reconciler", "report", "counts", str(job["id"]), "--json")
    assert json.loads(counts.stdout)["counts"], counts.stdout
    printed = services.run("reconciler", "metrics").stdout
    assert 'nightshelf_jobs{kind="track",state="succeeded"} 1.0' in printed
    check_logs(services, job["id"])
    assert "worker.runner" in shown
    assert secrets_in(shown) == []


@contextmanager
def held(services: Services) -> Iterator[None]:
    """The job that runs stands still meanwhile: its worker is to be stopped in the midst of it."""
    family = services.running["worker-cpu"].children(recursive=True)
    [runner] = [one for one in family if "worker.runner" in one.cmdline()]
    runner.suspend()
    try:
        yield
    finally:
        runner.resume()


def until_under_way(services: Services, job: int) -> None:
    limit = time.monotonic() + 90
    while (shown := services.job(job))["progress_note"] != "detecting":
        assert time.monotonic() < limit, shown
    assert shown["state"] == "running"


def check_logs(services: Services, job: int) -> None:
    lines = services.log("worker-cpu").splitlines()
    said = [json.loads(line) for line in lines if line.startswith("{")]
    # Celery writes this one past every log.
    others = {line for line in lines if not line.startswith("{")}
    assert others <= {"", "worker: Warm shutdown (MainProcess)"}
    about = [line for line in said if line["job"] == job]
    assert [(line["attempt"], line["message"].split(": ", 1)[1]) for line in about] == [
        (1, "attempt 1 begins: belt.mp4 · products@1"),
        (1, "handed back"),
        (2, "attempt 2 begins: belt.mp4 · products@1"),
        (2, "succeeded"),
    ]
    assert {line["device"] for line in about} == {"cpu"}
    assert len({line["worker"] for line in about}) == 2, "a worker's name is new at each start"
    for name in ("worker-cpu", "reconciler", "flower", "metrics"):
        assert secrets_in(services.log(name)) == []


def status(address: Path | int, method: str, path: str, login: str | None) -> int:
    """The status code that a request gets, over a socket's path or a port."""
    if isinstance(address, Path):
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(address))
    else:
        connection = http.client.HTTPConnection("127.0.0.1", address, timeout=30)
    headers = {"Content-Length": "0"} if method == "POST" else {}
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    connection.request(method, path, headers=headers)
    code = connection.getresponse().status
    connection.close()
    return code


OPEN, LOGIN, WRONG = None, "nightshelf:hunter2flower", "nightshelf:guess"

FLOWER = [
    ("GET", "/", OPEN, 401),
    ("GET", "/", WRONG, 401),
    ("GET", "/", LOGIN, 200),
    ("GET", "/tasks", OPEN, 401),
    ("GET", "/tasks", LOGIN, 200),
    ("GET", "/api/workers", OPEN, 401),
    ("GET", "/api/workers", LOGIN, 200),
    ("POST", "/api/worker/shutdown/cpu", OPEN, 401),
    ("POST", "/api/worker/shutdown/cpu", LOGIN, 403),
    ("POST", "/api/task/revoke/1", LOGIN, 403),
    ("POST", "/api/task/send-task/nightshelf.track", LOGIN, 403),
    ("GET", "/healthcheck", OPEN, 200),
]


@pytest.fixture
def flower(services: Services) -> Services:
    """Flower alone, as the file starts it."""
    services.start("flower")
    services.until_healthy("flower")
    return services


def test_flower_asks_for_a_login_and_is_read_only(flower: Services) -> None:
    codes = [status(flower.socket, method, path, login) for method, path, login, _ in FLOWER]
    assert codes == [code for *_, code in FLOWER]
    connections = flower.running["flower"].net_connections("tcp")
    assert "LISTEN" not in {one.status for one in connections}, "no port to be reached by"


CLOSED = [
    ("GET", "/metrics", OPEN, 404),
    ("GET", "/metrics", LOGIN, 404),
    ("GET", "/metrics/", LOGIN, 404),
    ("GET", "//metrics", LOGIN, 404),
    ("GET", "/%6detrics", LOGIN, 404),
    ("GET", "/tasks/../metrics", LOGIN, 404),
    ("POST", "/api/worker/shutdown/cpu", OPEN, 403),
    ("DELETE", "/", LOGIN, 403),
    ("POST", "/tasks/datatable", OPEN, 401),
]


def test_the_proxy_closes_what_flower_leaves_open(flower: Services) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        absent("no nginx on this machine")
    assert nginx is not None
    assert status(flower.socket, "GET", "/metrics", OPEN) == 200, "or the proxy has nothing to do"
    port = free_port()
    config = flower.folder / "nginx.conf"
    content = load(VALUES)["configs"]["flower-proxy"]["content"]
    assert "listen 8080;" in content
    config.write_text(
        content.replace("listen 8080;", f"listen 127.0.0.1:{port};")
        .replace("/tmp/", f"{flower.folder}/")
        .replace("/run/flower/flower.sock", str(flower.socket))
    )
    # Without `user`, root's nginx works as somebody who may not look into the test's folder.
    root = "user root; " if os.geteuid() == 0 else ""
    command = [nginx, "-e", "stderr", "-c", str(config), "-g", f"{root}daemon off;"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                assert time.monotonic() < limit
                time.sleep(0.05)
        table = [row for row in FLOWER if row[0] == "GET"] + CLOSED
        codes = [status(port, method, path, login) for method, path, login, _ in table]
        assert codes == [code for *_, code in table]
    finally:
        process.terminate()
        process.wait(30)

"""`nightshelf up`: the embedded set as a real process, to be stopped and started again."""

from __future__ import annotations

import json
import signal
import socket
import stat
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from db.states import State
from tests.clips import write_clip
from tests.deployment import WEIGHTS, Deployment, deployment

# What Flower's own page asks for.
_LISTED = {
    "draw": "1",
    "start": "0",
    "length": "50",
    "order[0][column]": "0",
    "order[0][dir]": "asc",
    "columns[0][data]": "name",
    "search[value]": "",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def house(home: Path) -> Iterator[Deployment]:
    """A home of its own for `up`: with no database, no broker, and a free port for Flower."""
    embedded = {"NIGHTSHELF_DATABASE_URL": "", "NIGHTSHELF_FLOWER_PORT": str(free_port())}
    with deployment(home, f"sqlite:///{home}/nightshelf.db", "", **embedded) as made:
        yield made


def said(made: Deployment) -> str:
    return (made.home / "log").read_text()


def started(made: Deployment) -> psutil.Popen:
    """Start `up`, and wait until it says that it is."""
    before = said(made).count("Nightshelf is up")
    process = made.start("up")
    made.until(lambda: said(made).count("Nightshelf is up") > before, 30)
    return process


def ask_flower(made: Deployment, path: str, form: dict[str, str] | None = None) -> Any:
    port = made.environment["NIGHTSHELF_FLOWER_PORT"]
    data = urllib.parse.urlencode(form).encode() if form else None
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=10) as answer:
        return json.load(answer) if form else answer.status


def flower_answers(made: Deployment) -> bool:
    try:
        return bool(ask_flower(made, "/healthcheck") == 200)
    except OSError:
        return False


def in_flower(made: Deployment) -> dict[str, dict[str, Any]]:
    """The tasks that Flower lists, by id."""
    rows = ask_flower(made, "/tasks/datatable", _LISTED)["data"]
    return {row["uuid"]: row for row in rows}


@pytest.fixture(scope="module")
def up() -> Iterator[Deployment]:
    """`up` at work, with a registered model, for the tests that only look."""
    with tempfile.TemporaryDirectory(prefix="ns-", ignore_cleanup_errors=True) as name:
        with house(Path(name)) as made:
            started(made)
            made.until(lambda: flower_answers(made))
            made.cli("models", "add", str(WEIGHTS), "--name", "products")
            yield made
        assert "Stopped. Nothing is left to do." in said(made)


def test_flower_lists_a_job_under_its_kind_its_number_and_a_label_to_read(
    up: Deployment, tmp_path: Path
) -> None:
    clip = tmp_path / "aisle 4.mp4"
    write_clip(clip)
    arguments = ["track", str(clip), "--model", "products", "--imgsz", "64"]
    [job] = up.cli_json(*arguments)
    up.until_over(job["id"])
    number = str(job["id"])
    up.until(lambda: in_flower(up).get(number, {}).get("state") == "SUCCESS", 30)
    shown = in_flower(up)[number]
    assert shown["name"] == "nightshelf.track"
    assert shown["args"] == f"{number} aisle 4.mp4 · products@1"


def test_flower_listens_on_loopback_alone_and_refuses_orders(up: Deployment) -> None:
    [flower] = up.processes("--app db.queue flower")
    listening = {one.laddr.ip for one in flower.net_connections() if one.status == "LISTEN"}
    assert listening == {"127.0.0.1"}
    for order in ("/api/tasks", "/api/task/revoke/1", "/api/worker/shutdown/all"):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            ask_flower(up, order, {"terminate": "true"} if order != "/api/tasks" else None)
        assert refusal.value.code in (401, 403), order
        refusal.value.close()


def test_the_embedded_broker_keeps_every_message_and_listens_on_its_socket_alone(
    up: Deployment,
) -> None:
    path = up.home / "broker.sock"
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    with redis.Redis(unix_socket_path=str(path), decode_responses=True) as client:
        config = client.config_get("*")
        assert client.info("persistence")["aof_enabled"] == 1
    assert config["port"] == "0"
    assert config["appendonly"] == "yes"
    assert config["maxmemory-policy"] == "noeviction"
    [broker] = up.processes(f"unixsocket:{path}")
    assert broker.net_connections("inet") == []
    assert (up.home / "broker").is_dir()


def test_a_second_up_in_the_same_home_is_refused(up: Deployment) -> None:
    before = {one.pid for one in up.processes("")}
    refusal = up.cli("up", code=1)
    assert refusal == (
        f"nightshelf: `nightshelf up` runs already in {up.home}: use it, or stop it first\n"
    )
    assert {one.pid for one in up.processes("")} == before


def test_a_part_that_dies_is_started_again(up: Deployment) -> None:
    [reconciler] = up.processes("-m producer reconcile")
    reconciler.kill()
    up.until(
        lambda: any(one.pid != reconciler.pid for one in up.processes("-m producer reconcile")),
        30,
    )
    assert "reconciler ended and is started again" in said(up)


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_running_and_the_next_up_resumes(home: Path, clip: Path) -> None:
    with house(home) as made:
        process = started(made)
        made.cli("models", "add", str(WEIGHTS), "--name", "products")
        [job] = made.cli_json("track", str(clip), "--model", "products", "--stride", "2")
        made.until_under_way(job["id"])
        made.runner()
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
        made.assert_nothing_left()
        assert not (home / "broker.sock").exists()
        assert "Stopped. 1 to resume at the next `nightshelf up`:" in said(made)
        assert f"  job {job['id']}  track  belt.mp4 · products@1\n" in said(made)
        assert made.job(job["id"]).state is State.QUEUED
        assert made.outcomes(job["id"]) == ["handed back"]

        again = started(made)
        made.until_over(job["id"])
        assert made.outcomes(job["id"]) == ["handed back", "succeeded"]
        again.send_signal(signal.SIGINT)
        assert again.wait(40) == 0
        assert said(made).endswith("Stopped. Nothing is left to do.\n")

"""What `nightshelf doctor` sees of this machine, and what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from db.doctor import fitness, storage, versions
from db.settings import Settings
from producer import doctor
from tests.findings import (
    BAD,
    FATAL,
    OK,
    SECRET,
    WARNING,
    Finding,
    Verdict,
    as_user,
    by_name,
    wrong,
)
from tests.servers import valkey

REPOSITORY = Path(__file__).parents[2]

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


# Storage.


def on_home(home: Path) -> Settings:
    return Settings(home=home, broker_url="redis://127.0.0.1:1/0")


def ignoring_the_disk(found: list[Finding]) -> dict[str, Verdict]:
    return wrong([one for one in found if one.what != "free space"])


def test_a_home_that_can_be_written_to_is_well_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    found = storage.examine(on_home(tmp_path))
    assert ignoring_the_disk(found) == {}
    assert by_name(found)["free space"].value.endswith(" GiB")
    assert [path.name for path in tmp_path.rglob("*")] == ["jobs"]


def test_a_home_that_is_not_there_yet_is_a_warning_and_not_made(tmp_path: Path) -> None:
    found = storage.examine(on_home(tmp_path / "a" / "home"))
    assert ignoring_the_disk(found) == {"home": WARNING}
    assert "free space" in by_name(found)
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_made_is_fatal(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert wrong(storage.examine(on_home(tmp_path / "file" / "home"))) == {"home": FATAL}


@pytest.mark.parametrize("home", ["file", "/proc"])
def test_a_home_that_cannot_be_written_to_is_fatal(tmp_path: Path, home: str) -> None:
    (tmp_path / "file").touch()
    assert ignoring_the_disk(storage.examine(on_home(tmp_path / home)))["home"] is FATAL


def test_a_room_of_home_on_another_file_system_is_bad(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    (tmp_path / "detections").symlink_to(memory)
    found = storage.examine(on_home(tmp_path))
    assert ignoring_the_disk(found) == {"file system": BAD}
    assert by_name(found)["file system"].value == "another for detections"


def test_a_path_that_is_too_long_for_the_embedded_brokers_socket_is_bad(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    found = storage.examine(Settings(home=long))
    assert wrong(found)["broker's socket"] is BAD
    assert "broker's socket" not in wrong(storage.examine(on_home(long)))


# Devices and libraries.


def test_the_worker_says_what_this_machine_can_do(tmp_path: Path) -> None:
    found = by_name(doctor.devices(on_home(tmp_path)))
    assert found["h264 decoding"].value == found["h264 encoding"].value == "works"
    assert found["torch"].verdict is OK
    assert "device" in found or "cuda:0" in found


def test_a_look_at_the_device_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    [found] = doctor.devices(on_home(tmp_path))
    assert found.verdict is BAD
    assert found.cure == "see why: /bin/false -m worker.device_check"


def test_the_libraries_here_are_those_that_the_package_requires() -> None:
    assert by_name(versions.examine())["libraries"].verdict is OK


def test_a_library_of_another_version_than_the_constraints_name_is_a_warning(
    tmp_path: Path,
) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("# pinned\ncelery==5.6.9\nsome-library-of-a-library==1.0\n")
    assert wrong(versions.examine(constraints)) == {"tested libraries": WARNING}
    assert "tested libraries" not in by_name(versions.examine(tmp_path / "absent.txt"))


# What a worker takes for a reason.


def test_a_worker_is_fit_on_what_is_bad_but_loses_no_work(
    tmp_path: Path, database_url: str
) -> None:
    with valkey("--appendonly", "no") as server:  # and a PostgreSQL that does not flush
        fitness.check(Settings(home=tmp_path, database_url=database_url, broker_url=server.url))


def test_a_worker_is_unfit_for_every_reason_that_can_be_seen(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with valkey("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru") as server:
        wrong_in_all = Settings(
            home=tmp_path / "file" / "home",
            database_url=f"sqlite:///{tmp_path / 'none.db'}",
            broker_url=server.url,
        )
        with pytest.raises(fitness.Unfit) as caught:
            fitness.check(wrong_in_all)
    starts = [line.partition(": ")[0] for line in str(caught.value).splitlines()]
    assert starts == ["home", "database's schema", "broker's maxmemory-policy"]


# The command.


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, database_url: str) -> Run:
    """`nightshelf doctor ARGUMENTS` with these settings, as a process."""

    def _run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("NIGHTSHELF_")}
        ours = {"HOME": str(tmp_path), "DATABASE_URL": database_url} | settings
        return subprocess.run(
            [sys.executable, "-m", "producer", "doctor", *arguments],
            env=inherited | {f"NIGHTSHELF_{name}": value for name, value in ours.items()},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return _run


@on_sqlite
def test_doctor_prints_a_line_for_each_finding_and_never_a_password(run: Run) -> None:
    with valkey("--requirepass", SECRET, "--appendonly", "no") as server:
        done = run(BROKER_URL=as_user(server.url, "default", SECRET))
    assert done.stderr == ""
    assert SECRET not in done.stdout
    lines = {line.split("  ")[0]: line.split() for line in done.stdout.splitlines()}
    assert len(lines) == len(done.stdout.splitlines()) > 12
    assert lines["broker's appendonly"][2:6] == ["no", "warning", "set", "appendonly"]
    assert lines["broker's password"][2:] == ["required", "ok"]


@on_sqlite
def test_doctor_says_the_same_to_a_program_and_ends_by_the_worst(run: Run) -> None:
    away = f"redis://:{SECRET}@127.0.0.1:1/0"
    done = run("--json", BROKER_URL=away, DATABASE_URL=f"mysql://user:{SECRET}@host/db")
    assert done.returncode == 5
    assert SECRET not in done.stdout + done.stderr
    found = {one["what"]: one for one in json.loads(done.stdout)}
    assert found["broker"]["verdict"] == "bad"
    assert found["database"]["verdict"] == "fatal"
    assert found["database"]["refuses"]
    assert found["libraries"] == {
        "what": "libraries",
        "value": found["libraries"]["value"],
        "verdict": "ok",
        "cure": "",
        "refuses": False,
    }


@on_sqlite
def test_doctor_looks_at_the_rest_when_the_broker_has_no_address(run: Run, tmp_path: Path) -> None:
    done = run("--json", HOME=str(tmp_path / ("x" * 100)))
    assert done.returncode == 5
    found = {one["what"]: one["verdict"] for one in json.loads(done.stdout)}
    assert found["broker's socket"] == "bad"
    assert found["database's schema"] == "ok"
    assert "broker" not in found

"""docker-compose.yml, the Dockerfile and .env.example hold what docs/deploy.md promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from db.settings import Settings
from tests.compose_file import (
    COMPOSE_FILE,
    ENV_EXAMPLE,
    IMAGE,
    REPOSITORY,
    fill,
    load,
    our_services,
    variables,
)

SERVICES = load(variables())["services"]
OURS = our_services(variables())
LASTING = sorted(set(SERVICES) - {"migrate"})
PASSWORDS = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "FLOWER_PASSWORD")
WANTED = re.compile(r"\$\{(\w+):\?")


def seconds(duration: str) -> int:
    number, unit = int(duration[:-1]), duration[-1]
    return number * {"s": 1, "m": 60}[unit]


def check_schema(path: Path) -> subprocess.CompletedProcess[str]:
    """Validate a file against the Compose specification's schema, as check-jsonschema has it."""
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_file_is_valid_by_the_compose_specification() -> None:
    done = check_schema(COMPOSE_FILE)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("stop_grace_period:", "stop_grace:"),
        ("condition: service_healthy", "condition: healthy"),
        ("capabilities: [gpu]", "capabilities: gpu"),
    ],
)
def test_a_mistake_in_the_file_would_be_found(tmp_path: Path, right: str, wrong: str) -> None:
    mistaken = tmp_path / "docker-compose.yml"
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    assert right in text
    mistaken.write_text(text.replace(right, wrong), encoding="utf-8")
    assert check_schema(mistaken).returncode == 1


def test_every_variable_that_must_be_set_is_in_the_example() -> None:
    wanted = set(WANTED.findall(COMPOSE_FILE.read_text(encoding="utf-8")))
    assert set(PASSWORDS) < wanted <= set(variables())


@pytest.mark.parametrize("missing", PASSWORDS)
def test_without_a_password_the_file_is_refused(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        load({name: value for name, value in variables().items() if name != missing})


@pytest.mark.parametrize("service", sorted(OURS))
def test_nothing_of_ours_starts_with_a_placeholder_for_a_password(service: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NIGHTSHELF_")}
    done = subprocess.run(
        [sys.executable, "-m", "producer", *OURS[service]["command"]],
        env=environment | OURS[service]["environment"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(
        r"nightshelf( worker)?: NIGHTSHELF_\w+: the password is still the placeholder "
        r"`change-me`: choose one of your own\n",
        done.stderr,
    )


@pytest.mark.parametrize(
    "values",
    [
        {"database_url": "postgresql+psycopg://night:change-me-not@host/db"},
        {"broker_url": "redis://change-me:secret@host:6379/0"},
        {"flower_auth": "change-me:secret,other:unchange-me"},
    ],
)
def test_a_password_of_ones_own_is_no_placeholder(values: dict[str, str]) -> None:
    assert Settings.model_validate(values)


@pytest.mark.parametrize(
    "values", [{"flower_auth": "one:change-me,two:secret"}, {"flower_auth": "one:s,two:change-me"}]
)
def test_one_placeholder_among_several_logins_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is still the placeholder"):
        Settings.model_validate(values)


def test_our_services_are_one_image_that_is_not_run_by_root() -> None:
    assert set(OURS) == {
        *("migrate", "worker-gpu", "worker-cpu", "reconciler", "flower", "metrics"),
    }
    assert {one["build"] for one in OURS.values()} == {"."}
    for one in OURS.values():
        assert one["init"] is True
        assert one["cap_drop"] == ["ALL"]
    stages = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ")
    assert "\nUSER nightshelf\n" in stages[-1]


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_starts_again_is_limited_and_says_how_it_is(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert service["logging"]["driver"] == "local", "logs do not fill the disk"


def test_the_migration_runs_once_and_everything_waits_for_it() -> None:
    assert OURS["migrate"]["restart"] == "no"
    assert OURS["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in set(OURS) - {"migrate"}:
        waits = OURS[name]["depends_on"]["migrate"]
        assert waits == {"condition": "service_completed_successfully"}, name


@pytest.mark.parametrize("name", ["worker-gpu", "worker-cpu"])
def test_a_worker_has_time_to_hand_its_job_back_and_memory_for_its_runner(name: str) -> None:
    from producer.embedded import _GOODBYE_S

    settings = Settings()
    assert seconds(OURS[name]["stop_grace_period"]) > settings.stop_grace_s + _GOODBYE_S
    memory = OURS[name]["deploy"]["resources"]["limits"]["memory"]
    assert int(memory.removesuffix("g")) * 1024 > settings.runner_memory_mb
    assert OURS[name]["profiles"] == [name.removeprefix("worker-")]


def test_the_worker_for_gpus_reserves_them() -> None:
    [devices] = OURS["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert "reservations" not in OURS["worker-cpu"]["deploy"]["resources"]


def test_only_loopback_is_published_and_flower_only_through_its_proxy() -> None:
    ports = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}
    assert set(ports) == {"flower-proxy", "metrics"}
    for [port] in ports.values():
        assert port.startswith("127.0.0.1:")
    assert SERVICES["flower-proxy"]["networks"] == ["front"]
    assert "FLOWER_UNIX_SOCKET" in OURS["flower"]["environment"], "no port to be reached by"


def test_the_proxy_closes_the_metrics_and_whatever_writes() -> None:
    proxy = load(variables())["configs"]["flower-proxy"]["content"]
    assert "location ^~ /metrics { return 404; }" in proxy
    assert "limit_except GET { deny all; }" in proxy
    assert "proxy_set_header Host $http_host;" in proxy


def test_redis_keeps_what_it_is_given_behind_a_password() -> None:
    config = load(variables() | {"REDIS_PASSWORD": "hunter2"})["configs"]["redis"]["content"]
    lines = config.splitlines()
    assert {"requirepass hunter2", "appendonly yes", "maxmemory-policy noeviction"} < set(lines)


def test_passwords_are_on_no_command_line() -> None:
    hidden = {name: f"hunter-{name}" for name in PASSWORDS}
    for name, one in load(variables() | hidden)["services"].items():
        for key in ("command", "healthcheck"):
            assert "hunter-" not in str(one.get(key, "")), (name, key)


def test_flower_and_the_metrics_know_no_more_addresses_than_they_need() -> None:
    assert "NIGHTSHELF_DATABASE_URL" not in OURS["flower"]["environment"]
    assert "NIGHTSHELF_BROKER_URL" not in OURS["metrics"]["environment"]


def test_servers_that_are_managed_elsewhere_replace_those_of_the_file() -> None:
    elsewhere = {
        "NIGHTSHELF_DATABASE_URL": "postgresql+psycopg://n:p@db.example/nightshelf",
        "NIGHTSHELF_BROKER_URL": "rediss://:p@redis.example:6379/0",
    }
    for one in our_services(variables() | elsewhere).values():
        for name, address in elsewhere.items():
            assert one["environment"].get(name, address) == address


def test_every_setting_that_the_file_sets_exists() -> None:
    known = {f"NIGHTSHELF_{name.upper()}" for name in Settings.model_fields}
    for one in OURS.values():
        ours = {name for name in one["environment"] if name.startswith("NIGHTSHELF_")}
        assert ours <= known


def test_an_inner_variable_is_filled_in_before_the_one_around_it() -> None:
    assert fill("${A:-x${B:?b}y}", {"B": "-"}) == "x-y"
    assert fill("${A:-x${B:?b}y} $${B}", {"A": "a", "B": "-"}) == "a ${B}"


def test_code_is_copied_after_the_packages_are_installed() -> None:
    lines = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").splitlines()

    def at(start: str) -> int:
        return next(number for number, line in enumerate(lines) if line.strip().startswith(start))

    packages = at("&& pip install --constraint constraints.txt --requirement")
    for room in ("db", "producer", "worker"):
        assert at(f"COPY {room} {room}") > packages
    assert at("RUN pip install --no-deps --no-build-isolation") > at("COPY worker worker")


def test_what_the_image_is_made_of_passes_the_ignore_file() -> None:
    passed = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied: set[str] = set()
    for line in (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            copied.update(line.split()[1:-1])
    assert copied == {line.removeprefix("!") for line in passed if line.startswith("!")}
    assert all((REPOSITORY / name).exists() for name in copied)
    assert "*" in passed, "everything else stays out, .env above all"


def test_no_secret_is_in_the_files_themselves() -> None:
    raw: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))
    for name, one in raw["services"].items():
        for key, value in one.get("environment", {}).items():
            if "PASSWORD" in key or "AUTH" in key:
                assert value.startswith("${"), (name, key)
    assert {variables(ENV_EXAMPLE)[name] for name in PASSWORDS} == {"change-me"}
    assert IMAGE.startswith("nightshelf:")

"""Which values `nightshelf doctor` takes for well, and which not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from packaging.requirements import Requirement

from db.doctor import broker, database, storage, versions
from db.doctor.clock import clock, offset_s
from db.doctor.finding import Finding, Verdict, unseen
from db.doctor.listening import Reach, password, reach
from producer.commands.doctor import exit_code
from producer.exit_codes import ExitCode
from tests.findings import BAD, FATAL, OK, WARNING, assert_verdict

MIB = 2**20
REDIS_7 = {"redis_version": "7.2.4"}


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([OK, OK], ExitCode.OK),
        ([OK, WARNING], ExitCode.ONLY_WARNINGS),
        ([WARNING, BAD, OK], ExitCode.BAD_FINDINGS),
        ([FATAL], ExitCode.BAD_FINDINGS),
    ],
)
def test_the_worst_finding_is_how_the_command_ends(verdicts: list[Verdict], code: ExitCode) -> None:
    assert exit_code([Finding("it", "so", verdict, "mend it") for verdict in verdicts]) is code


def test_a_finding_is_a_json_object() -> None:
    assert Finding("it", "so", FATAL, "mend it").as_dict() == {
        "what": "it",
        "value": "so",
        "verdict": "fatal",
        "cure": "mend it",
        "refuses": True,
    }


def test_what_could_not_be_seen_is_a_warning() -> None:
    assert_verdict(unseen("it", "look there"), WARNING)


# The broker.


@pytest.mark.parametrize(
    ("info", "verdict", "value"),
    [
        ({"redis_version": "5.0.14"}, FATAL, "Redis 5.0.14"),
        ({"redis_version": "6.0.20"}, FATAL, "Redis 6.0.20"),
        ({"redis_version": "6.2.0"}, OK, "Redis 6.2.0"),
        ({"redis_version": "10.0.1"}, OK, "Redis 10.0.1"),
        (REDIS_7 | {"server_name": "valkey", "valkey_version": "9.1.2"}, OK, "Valkey 9.1.2"),
        ({}, WARNING, "could not be seen"),
    ],
)
def test_a_server_older_than_what_kombu_needs_is_refused(
    info: dict[str, Any], verdict: Verdict, value: str
) -> None:
    found = broker.version(info)
    assert_verdict(found, verdict)
    assert found.value == value


@pytest.mark.parametrize(
    ("policy", "limit", "verdict"),
    [
        ("noeviction", 0, OK),
        ("noeviction", 64 * MIB, OK),
        ("allkeys-lru", 0, WARNING),
        ("allkeys-lru", 64 * MIB, FATAL),
        ("allkeys-lfu", 1, FATAL),
        ("allkeys-random", 64 * MIB, FATAL),
        ("volatile-lru", 64 * MIB, WARNING),
        ("volatile-ttl", 0, WARNING),
    ],
)
def test_a_policy_that_deletes_queues_is_refused_where_it_can_come_into_force(
    policy: str, limit: int, verdict: Verdict
) -> None:
    assert_verdict(broker.eviction({"maxmemory_policy": policy, "maxmemory": limit}), verdict)


@pytest.mark.parametrize("info", [{}, {"maxmemory_policy": "noeviction"}, {"maxmemory": 1}])
def test_a_server_that_does_not_tell_its_policy_is_not_judged_by_it(info: dict[str, Any]) -> None:
    assert_verdict(broker.eviction(info), WARNING)


@pytest.mark.parametrize(
    ("info", "verdict"), [({"aof_enabled": 1}, OK), ({"aof_enabled": 0}, WARNING), ({}, WARNING)]
)
def test_messages_that_do_not_survive_a_restart_are_no_reason_to_refuse(
    info: dict[str, Any], verdict: Verdict
) -> None:
    assert_verdict(broker.append_only(info), verdict)


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(86_400, OK), (100_000, OK), (86_399, FATAL), (3600, FATAL)]
)
def test_a_message_of_ours_must_not_return_before_a_day_is_over(
    seconds: float, verdict: Verdict
) -> None:
    assert_verdict(broker.own_visibility_timeout(seconds), verdict)


def test_the_shortest_visibility_timeout_of_any_worker_counts() -> None:
    found = broker.visibility_timeouts({"a@x": 86_400, "b@y": 3600, "c@z": 90_000})
    assert_verdict(found, BAD)
    assert found.value == "3600 s, the shortest of 3"
    assert "b@y" in found.cure
    assert_verdict(broker.visibility_timeouts({"a@x": 86_400}), OK)


def test_no_worker_that_answers_is_nothing_to_cure() -> None:
    assert_verdict(broker.visibility_timeouts({}), OK)


def listening(bind: str, port: str = "6379", tls: str = "0", mode: str = "no") -> dict[str, str]:
    return {"bind": bind, "port": port, "tls-port": tls, "protected-mode": mode}


@pytest.mark.parametrize(
    ("settings", "host", "expected"),
    [
        (listening("* -::*", port="0"), None, Reach.THIS_MACHINE),
        (listening("* -::*", port="0", tls="6380"), None, Reach.NETWORK),
        (listening("127.0.0.1 -::1"), "127.0.0.1", Reach.THIS_MACHINE),
        (listening("127.0.0.1 10.0.0.5"), "127.0.0.1", Reach.NETWORK),
        (listening("0.0.0.0"), None, Reach.NETWORK),
        (listening(""), "localhost", Reach.NETWORK),
        (listening("* -::*", mode="yes"), "localhost", Reach.PROTECTED),
        (None, "redis.example.com", Reach.NETWORK),
        (None, "10.0.0.5", Reach.NETWORK),
        (None, "localhost", Reach.UNKNOWN),
        (None, "127.0.0.1", Reach.UNKNOWN),
        (None, None, Reach.UNKNOWN),
    ],
)
def test_where_a_server_listens_is_read_from_its_settings_or_our_own_address(
    settings: dict[str, str] | None, host: str | None, expected: Reach
) -> None:
    assert reach(settings, host) is expected


@pytest.mark.parametrize(
    ("reached", "verdict"),
    [
        (Reach.THIS_MACHINE, OK),
        (Reach.PROTECTED, WARNING),
        (Reach.UNKNOWN, WARNING),
        (Reach.NETWORK, BAD),
    ],
)
def test_a_password_must_be_required_of_other_machines(reached: Reach, verdict: Verdict) -> None:
    assert_verdict(password(reached, True), verdict)
    assert_verdict(password(reached, False), OK)


# The database.


@pytest.mark.parametrize(
    ("version", "journal", "verdict"),
    [
        ("3.40.1", "wal", FATAL),
        ("3.51.2", "WAL", FATAL),
        ("3.51.3", "wal", OK),
        ("3.40.1", "delete", OK),
        ("3.40.1", "truncate", OK),
    ],
)
def test_a_write_ahead_log_that_can_be_corrupted_is_refused(
    version: str, journal: str, verdict: Verdict
) -> None:
    assert_verdict(database.sqlite_journal(version, journal), verdict)


@pytest.mark.parametrize("name", ["fsync", "synchronous_commit"])
@pytest.mark.parametrize(
    ("value", "verdict"), [("on", OK), ("off", BAD), ("local", OK), ("remote_apply", OK)]
)
def test_a_database_that_may_forget_what_it_committed_is_bad(
    name: str, value: str, verdict: Verdict
) -> None:
    assert_verdict(database.durability(name, value), verdict)


@pytest.mark.parametrize(
    ("level", "verdict"),
    [("read committed", OK), ("repeatable read", BAD), ("serializable", BAD)],
)
def test_an_isolation_under_which_claims_collide_is_bad(level: str, verdict: Verdict) -> None:
    assert_verdict(database.isolation(level), verdict)


@pytest.mark.parametrize(
    ("version", "verdict"),
    [((15, 14), OK), ((18, 1), OK), ((14, 22), WARNING)],
)
def test_a_postgresql_that_was_not_tested_is_a_warning(
    version: tuple[int, ...], verdict: Verdict
) -> None:
    found = database.postgresql_version(version)
    assert_verdict(found, verdict)
    assert found.value == f"PostgreSQL {'.'.join(map(str, version))}"


# Clocks.


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(0.0, OK), (0.3, OK), (2.0, OK), (2.1, WARNING), (30.0, WARNING), (30.1, BAD), (7200, BAD)],
)
def test_a_clock_that_is_off_is_bad_in_either_direction(
    seconds: float, verdict: Verdict, side: int
) -> None:
    assert_verdict(clock("the broker's", side * seconds), verdict)


def test_a_clock_is_said_to_be_ahead_or_behind() -> None:
    assert clock("its", 3.0).value == "3.0 s ahead of this machine's"
    assert clock("its", -3.0).value == "3.0 s behind this machine's"
    assert clock("its", 0.01).value == "the same as this machine's"


def test_a_clock_an_hour_ahead_is_seen_to_be_so() -> None:
    seen = offset_s(lambda: datetime.now(UTC) + timedelta(hours=1))
    assert seen == pytest.approx(3600, abs=60)


# Storage.


@pytest.mark.parametrize(
    ("free_gib", "verdict"),
    [(100, OK), (5, OK), (4.9, WARNING), (1, WARNING), (0.9, BAD), (0, BAD)],
)
def test_a_disk_that_fills_is_told_in_time(free_gib: float, verdict: Verdict) -> None:
    assert_verdict(storage.free_space(int(free_gib * 2**30)), verdict)


# Libraries.

REQUIRED = [Requirement("celery>=5.7,<5.8"), Requirement("norfair==2.3.0"), Requirement("torch")]
INSTALLED = {"celery": "5.7.0", "norfair": "2.3.0", "torch": "2.14.1+cu130"}


def test_libraries_as_required_are_one_finding() -> None:
    [found] = versions.libraries(REQUIRED, INSTALLED.get)
    assert_verdict(found, OK)
    assert found.value == "all 3 as required"


@pytest.mark.parametrize(
    ("installed", "what", "value"),
    [
        ({"celery": "5.8.1"}, "library celery", "5.8.1"),
        ({"norfair": "2.2.0"}, "library norfair", "2.2.0"),
        ({"torch": None}, "library torch", "not installed"),
    ],
)
def test_a_library_that_is_not_as_required_is_named(
    installed: dict[str, str | None], what: str, value: str
) -> None:
    [found] = versions.libraries(REQUIRED, (INSTALLED | installed).get)
    assert_verdict(found, BAD)
    assert (found.what, found.value) == (what, value)


def test_libraries_of_other_versions_than_the_tests_run_with_are_a_warning() -> None:
    pinned = [Requirement("celery==5.7.0"), Requirement("torch==2.14.1"), Requirement("gone==1")]
    assert_verdict(versions.tested(pinned, INSTALLED.get), OK)
    found = versions.tested(pinned, (INSTALLED | {"celery": "5.7.2"}).get)
    assert_verdict(found, WARNING)
    assert found.value == "other versions: celery 5.7.2"

"""How settings are read, and that what is secret stays so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from db.errors import UsageError
from db.settings import MAX_SOCKET_PATH_BYTES, Settings, settings


@pytest.fixture(autouse=True)
def unread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable is set, and nothing was read yet."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"NIGHTSHELF_{name.upper()}", raising=False)
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_variables_are_read_into_their_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHELF_HOME", "/srv/../srv/nightshelf")
    monkeypatch.setenv("NIGHTSHELF_LEASE_S", "90")
    monkeypatch.setenv("NIGHTSHELF_RING_DEPTH", "7")
    monkeypatch.setenv("NIGHTSHELF_ROOTS", "/footage:/weights")
    monkeypatch.setenv("NIGHTSHELF_LOG_LEVEL", "debug")
    found = settings()
    assert found.home == Path("/srv/nightshelf")
    assert (found.lease_s, found.ring_depth, found.log_level) == (90.0, 7, "DEBUG")
    assert found.root_paths == (Path("/footage"), Path("/weights"))


def test_without_variables_everything_is_embedded_under_the_users_home(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/night")
    found = settings()
    assert found.home == Path("/home/night/.nightshelf")
    assert found.embedded_broker
    assert found.broker == "redis+socket:///home/night/.nightshelf/broker.sock"
    assert found.database == "sqlite:////home/night/.nightshelf/nightshelf.db"
    assert found.root_paths == (Path("/"),)


def test_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = settings()
    monkeypatch.setenv("NIGHTSHELF_LEASE_S", "90")
    assert settings() is first


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("LEASE_S", "soon", "valid number"),
        ("LEASE_S", "0", "greater than 0"),
        ("HEARTBEAT_S", "-1", "greater than 0"),
        ("RING_DEPTH", "0", "greater than or equal to 1"),
        ("MAX_ATTEMPTS", "2.5", "valid integer"),
        ("FLOWER_PORT", "65536", "less than or equal to 65535"),
        ("FLOWER_PORT", "0", "greater than or equal to 1"),
        ("RUNNER_MEMORY_MB", "100", "greater than or equal to 512"),
        ("LOG_LEVEL", "LOUD", "must be DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_a_value_that_cannot_be_is_one_line_that_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(f"NIGHTSHELF_{variable}", value)
    with pytest.raises(UsageError, match=complaint) as caught:
        settings()
    assert str(caught.value).startswith(f"NIGHTSHELF_{variable}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("heartbeat", "fits"), [("30", True), ("31", False)])
def test_a_lease_must_hold_for_two_heartbeats(
    monkeypatch: pytest.MonkeyPatch, heartbeat: str, fits: bool
) -> None:
    monkeypatch.setenv("NIGHTSHELF_HEARTBEAT_S", heartbeat)
    if fits:
        assert settings().heartbeat_s == 30
        return
    with pytest.raises(UsageError) as caught:
        settings()
    assert str(caught.value) == (
        "NIGHTSHELF_HEARTBEAT_S (31) must be at most half of NIGHTSHELF_LEASE_S (60), "
        "or one late renewal loses the job"
    )


@pytest.mark.parametrize("letter", ["a", "ü"])
def test_a_home_too_long_for_a_unix_socket_is_refused_with_its_length_in_bytes(
    letter: str,
) -> None:
    longest = MAX_SOCKET_PATH_BYTES - len(b"//broker.sock")
    fits = Settings(home=Path("/" + letter * (longest // len(letter.encode()))))
    assert len(bytes(fits.socket)) <= MAX_SOCKET_PATH_BYTES
    too_long = Settings(home=Path(f"{fits.home}{letter}"))
    length = len(bytes(too_long.home / "broker.sock"))
    with pytest.raises(UsageError, match=f"NIGHTSHELF_HOME is too long: .* {length} bytes"):
        _ = too_long.broker


def test_a_broker_of_ones_own_needs_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHELF_HOME", "/" + "a" * 200)
    monkeypatch.setenv("NIGHTSHELF_BROKER_URL", "redis://host:6379/0")
    assert settings().broker == "redis://host:6379/0"
    assert not settings().embedded_broker


def test_passwords_are_in_no_text_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHELF_DATABASE_URL", "postgresql+psycopg://user:hunter2@host/db")
    monkeypatch.setenv("NIGHTSHELF_BROKER_URL", "redis://:hunter2@host:6379/0")
    found = settings()
    for text in (repr(found), str(found), found.model_dump_json(), f"{found.model_dump()}"):
        assert "hunter2" not in text
    assert "hunter2" in found.database
    assert "hunter2" in found.broker


def test_a_bad_value_beside_a_password_does_not_reveal_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHELF_BROKER_URL", "redis://:hunter2@host:6379/0")
    monkeypatch.setenv("NIGHTSHELF_HEARTBEAT_S", "100")
    with pytest.raises(UsageError) as caught:
        settings()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__, "a traceback would print what was read"

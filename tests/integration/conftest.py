"""The producer in this process, on a database and a broker of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from db import queue
from db.files import sha256_of
from db.layout import model_address
from db.settings import Settings, settings
from tests.deployment import WEIGHTS


@pytest.fixture
def configured(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """The settings of this process: the test's database, a home of its own, and no broker."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"NIGHTSHELF_{name.upper()}", raising=False)
    monkeypatch.setenv("NIGHTSHELF_DATABASE_URL", database_url)
    monkeypatch.setenv("NIGHTSHELF_BROKER_URL", "redis://:hunter2@127.0.0.1:1/0")
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    monkeypatch.setattr(queue, "app", queue.make_app(settings()))
    yield settings()
    settings.cache_clear()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the demo's model is registered; detections are kept between the tests."""
    made = tmp_path_factory.mktemp("home")
    kept = made / model_address(sha256_of(WEIGHTS))
    kept.parent.mkdir(parents=True)
    kept.write_bytes(WEIGHTS.read_bytes())
    return made

"""The producer in this process, on a database and a broker of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from db import queue
from db.settings import Settings, settings


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

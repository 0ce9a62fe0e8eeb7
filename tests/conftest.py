"""Fixtures for all tests: the same test on SQLite and on PostgreSQL, and a real broker."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db import schema
from db.dialect import engine
from tests import servers

_numbers = itertools.count(1)
_TEMPLATE = "nightshelf_template"


def pytest_configure(config: pytest.Config) -> None:
    """Ultralytics reads its surroundings when it is imported, which collecting tests may do.

    Whoever runs the tests has settings of their own, which are neither read nor changed.
    """
    settings = tempfile.TemporaryDirectory(prefix="nightshelf-ultralytics-")
    config.add_cleanup(settings.cleanup)
    os.environ["YOLO_CONFIG_DIR"] = settings.name


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.PostgresCluster]:
    """A throwaway cluster; its template database has our schema."""
    with servers.postgres() as cluster:
        cluster.create(_TEMPLATE)
        made = engine(cluster.url(_TEMPLATE))
        schema.upgrade(made)
        made.dispose()
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database with our schema, of each kind in turn."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'test.db'}"
        schema.upgrade(engine(url))
        yield url
        engine(url).dispose()
        return
    cluster: servers.PostgresCluster = request.getfixturevalue("postgres")
    name = f"test_{next(_numbers)}"
    cluster.create(name, _TEMPLATE)
    yield cluster.url(name)
    engine(cluster.url(name)).dispose()
    cluster.drop(name)


@pytest.fixture
def database(database_url: str) -> Engine:
    """An empty database with our schema, of each kind in turn."""
    return engine(database_url)


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Iterator[servers.Valkey]:
    """A server of the test's own: Valkey, or Redis where a test asks for it by that name."""
    program = None
    if getattr(request, "param", "valkey") == "redis":
        program = servers.redis_program()
        if program is None:
            servers.absent("redis-server is not installed")
    with servers.valkey(program=program) as server:
        yield server

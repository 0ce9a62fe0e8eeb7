"""A clip of the project's own, and deployments: one to track it with, one that simulates."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.dialect import engine
from demo.belt import belt
from demo.render import truth_path, write_clip
from tests.deployment import WEIGHTS, Deployment, deployment
from tests.injected import simulated_jobs
from tests.recorded import register_model
from tests.servers import Valkey


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven seconds of a checkout belt: long enough to be interrupted."""
    path = tmp_path_factory.mktemp("clips") / "belt.mp4"
    write_clip(belt(11, 7.0), path, truth_path(path))
    return path


@pytest.fixture
def home() -> Iterator[Path]:
    """A home whose path is short enough for a unix socket."""
    with tempfile.TemporaryDirectory(prefix="ns-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def deployed(home: Path, database_url: str, broker: Valkey) -> Iterator[Deployment]:
    """A deployment with a registered model, its worker and reconciler at work."""
    with deployment(home, database_url, broker.url) as made:
        made.start("worker")
        made.start("reconcile")
        made.cli("models", "add", str(WEIGHTS), "--name", "products")
        yield made


@pytest.fixture
def simulated(home: Path, database_url: str, broker: Valkey) -> Iterator[Deployment]:
    """A deployment whose jobs are simulated, with a registered model; nothing is started yet."""
    register_model(engine(database_url), "products", ["apple"], home)
    with deployment(home, database_url, broker.url, **simulated_jobs()) as made:
        yield made

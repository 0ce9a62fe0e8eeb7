"""A clip of the project's own, and a deployment to track it with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.belt import belt
from demo.render import truth_path, write_clip
from tests.deployment import WEIGHTS, Deployment, deployment
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

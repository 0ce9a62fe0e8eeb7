"""Ultralytics' metrics, by which ours are held, keep to themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.quiet import quiet_ultralytics


@pytest.fixture(autouse=True, scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quiet_ultralytics(tmp_path_factory.mktemp("home")):
        yield

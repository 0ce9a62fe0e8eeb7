"""Fixtures for tests on real footage, which lies beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and weights."""
    folder = Path(__file__).parents[3] / "shared"
    if not folder.is_dir():
        if os.environ.get("NIGHTSHELF_TEST_REQUIRE") == "1":
            pytest.fail(f"{folder} is missing")
        pytest.skip(f"{folder} is missing")
    return folder

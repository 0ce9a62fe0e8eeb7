"""Ultralytics in the process of a test, keeping to itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from worker.ultralytics_env import ultralytics_environment


@contextmanager
def quiet_ultralytics(home: Path) -> Iterator[None]:
    """Its environment is that of a runner, and PyTorch's threads are as before afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ultralytics_environment(home).items():
            patch.setenv(name, value)
        import torch

        threads = torch.get_num_threads()
        yield
        torch.set_num_threads(threads)

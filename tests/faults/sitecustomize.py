"""Breaks the processes of a deployment on purpose; Python imports it at the start of each.

`tests.injected` puts this folder on their PYTHONPATH and says what to break:

    PYTHON_SIMULATED  1: `worker.jobs.track` and `.detect` are simulated (`tests/faults/*.py`)
    PYTHON_CRASH_AT   MODULE:NAME:before or MODULE:NAME:after: the process kills itself there
    PYTHON_CRASH_ONCE a file that does not exist yet: made by the crash, which is the only one
    PYTHON_PAUSE_AT   MODULE:NAME:before or MODULE:NAME:after: the process pauses there
    PYTHON_PAUSE_FILE a file that does not exist yet: made by the pause, which is the only one and
                      lasts until `FILE.go` is there

The names begin with PYTHON since a runner is given no other variables of the worker's.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

_SIMULATED = {
    "worker.jobs.track": "simulated_track.py",
    "worker.jobs.detect": "simulated_detect.py",
}


class _Simulated(MetaPathFinder):
    """Finds a simulated job where the real one would be."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _SIMULATED:
            return None
        return importlib.util.spec_from_file_location(
            name, Path(__file__).parent / _SIMULATED[name]
        )


class _Interrupting(MetaPathFinder):
    """Has something happen before or after one function of one module."""

    def __init__(self, happen: Callable[[], None], where: str) -> None:
        self._happen = happen
        self._module, self._function, self._moment = where.split(":")

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._module:
            return None
        found = PathFinder.find_spec(name, path)
        assert found is not None
        assert found.loader is not None
        execute = found.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            *owners, function = self._function.split(".")
            owner: Any = functools.reduce(getattr, owners, module)
            setattr(owner, function, self._interrupted(getattr(owner, function)))

        found.loader.exec_module = exec_module  # type: ignore[method-assign]
        return found

    def _interrupted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if self._moment == "before":
                self._happen()
            result = function(*arguments, **options)
            if self._moment == "after":
                self._happen()
            return result

        return wrapped


def _first(path: str) -> bool:
    """Make a file; returns whether it was not there yet."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _crash() -> None:
    if _first(os.environ["PYTHON_CRASH_ONCE"]):
        os.kill(os.getpid(), signal.SIGKILL)


def _pause() -> None:
    if _first(os.environ["PYTHON_PAUSE_FILE"]):
        go = Path(os.environ["PYTHON_PAUSE_FILE"] + ".go")
        while not go.exists():
            time.sleep(0.05)


if os.environ.get("PYTHON_SIMULATED"):
    sys.meta_path.insert(0, _Simulated())
if "PYTHON_CRASH_AT" in os.environ:
    sys.meta_path.insert(0, _Interrupting(_crash, os.environ["PYTHON_CRASH_AT"]))
if "PYTHON_PAUSE_AT" in os.environ:
    sys.meta_path.insert(0, _Interrupting(_pause, os.environ["PYTHON_PAUSE_AT"]))

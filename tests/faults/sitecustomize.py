"""Breaks the processes of a deployment on purpose; Python imports it at the start of each.

`tests.injected` puts this folder on their PYTHONPATH and says what to break:

    PYTHON_SIMULATED  1: `worker.jobs.track` and `.detect` are simulated (`tests/faults/*.py`)
    PYTHON_CRASH_AT   MODULE:NAME:before or MODULE:NAME:after: the process kills itself there
    PYTHON_CRASH_ONCE a file that does not exist yet: made by the crash, which is the only one

The names begin with PYTHON since a runner is given no other variables of the worker's.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import signal
import sys
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


class _Crashing(MetaPathFinder):
    """Wraps one function of one module when that is imported."""

    def __init__(self, module: str, function: str, moment: str) -> None:
        self._module, self._function, self._moment = module, function, moment

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
            setattr(owner, function, _crashing(getattr(owner, function), self._moment))

        found.loader.exec_module = exec_module  # type: ignore[method-assign]
        return found


def _crashing(function: Callable[..., Any], moment: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        if moment == "before":
            _crash()
        result = function(*arguments, **options)
        if moment == "after":
            _crash()
        return result

    return wrapped


def _crash() -> None:
    try:
        os.close(os.open(os.environ["PYTHON_CRASH_ONCE"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


if os.environ.get("PYTHON_SIMULATED"):
    sys.meta_path.insert(0, _Simulated())
if "PYTHON_CRASH_AT" in os.environ:
    sys.meta_path.insert(0, _Crashing(*os.environ["PYTHON_CRASH_AT"].split(":")))

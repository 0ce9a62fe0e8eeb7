"""`nightshelf --help` answers at once: it imports nothing heavy."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer

from producer.cli import app

HEAVY = {
    "alembic",
    "av",
    "celery",
    "cv2",
    "jinja2",
    "kombu",
    "matplotlib",
    "norfair",
    "numpy",
    "polars",
    "psutil",
    "pydantic_settings",
    "redis",
    "sqlalchemy",
    "supervision",
    "torch",
    "ultralytics",
}

_HELP_OF_EACH = """\
import contextlib, io, json, sys
from producer.cli import main
seen = {}
for command in json.loads(sys.argv[1]):
    sys.argv = ["nightshelf", *command, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        main()
    assert "Usage: nightshelf" in said.getvalue(), command
    seen[" ".join(command)] = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps(seen))
"""

_IMPORT_EVERYTHING = """\
import inspect, pkgutil
from importlib import import_module
import producer
for module in pkgutil.walk_packages(producer.__path__, "producer."):
    if module.name != "producer.__main__":
        import_module(module.name)
for name in producer.__all__:
    found = getattr(producer, name)
    assert inspect.isfunction(found) or inspect.isclass(found), (name, found)
    assert found.__module__.startswith("producer."), (name, found)
print(len(producer.__all__))
"""


def commands(group: typer.Typer, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group of commands, as it is typed."""
    yield path
    for command in group.registered_commands:
        assert command.callback is not None
        yield (*path, command.name or command.callback.__name__)
    for below in group.registered_groups:
        assert below.typer_instance is not None
        assert below.name is not None
        yield from commands(below.typer_instance, (*path, below.name))


COMMANDS = list(commands(app))


def test_the_commands_are_those_that_the_readers_of_the_help_are_promised() -> None:
    promised = {"up", "track", "jobs watch", "models add", "report counts", "worker", "db upgrade"}
    assert promised < {" ".join(command) for command in COMMANDS}


def test_the_help_of_no_command_imports_anything_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HELP_OF_EACH, json.dumps(COMMANDS)],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {command: set(names) for command, names in json.loads(done.stdout).items()}
    assert len(imported) == len(COMMANDS)
    assert all("producer" in names for names in imported.values())
    assert {command: names & HEAVY for command, names in imported.items() if names & HEAVY} == {}


def test_every_name_that_the_package_promises_stays_callable_whatever_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_EVERYTHING], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 5


def test_what_the_package_promises_says_what_it_takes_and_gives() -> None:
    import producer

    for name in producer.__all__:
        found = getattr(producer, name)
        assert inspect.getdoc(found), name
        if inspect.isfunction(found):
            signature = inspect.signature(found)
            assert signature.return_annotation is not signature.empty, name


def test_a_name_that_the_package_does_not_have_is_an_attribute_error() -> None:
    import producer

    with pytest.raises(AttributeError, match="no attribute 'guess'"):
        _ = producer.guess

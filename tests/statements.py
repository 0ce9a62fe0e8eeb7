"""The SQL that is executed while something is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def statements(database: Engine) -> Iterator[list[str]]:
    """The statements that are executed meanwhile, without those that begin and end."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        if not str(arguments[2]).startswith("BEGIN"):
            seen.append(str(arguments[2]))

    event.listen(database, "before_cursor_execute", note)
    yield seen
    event.remove(database, "before_cursor_execute", note)

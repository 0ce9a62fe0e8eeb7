"""The log of every process of ours: text for people, or one JSON object a line for programs."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from db.one_line import printable
from db.settings import Settings

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_HIDDEN = "***"

# Of an address that may be none: one that cannot be parsed holds a password all the same.
_PASSWORD = re.compile(r"://[^:@/]*:(.+)@")


_about: ContextVar[Mapping[str, Any]] = ContextVar("about", default={})  # noqa: B039 - never changed


@contextmanager
def about(*, job: int, attempt: int) -> Iterator[None]:
    """Within it, each line of this thread's log says which attempt at which job it speaks of."""
    token = _about.set({"job": job, "attempt": attempt})
    try:
        yield
    finally:
        _about.reset(token)


def configure(config: Settings, *, worker: str | None = None, device: str | None = None) -> None:
    """Log to standard error, in the form and from the level on that the settings name.

    Passwords of the settings' addresses are replaced in whatever is logged, tracebacks included.

    Args:
        config: the settings.
        worker: the worker that this process is, if it is one.
        device: the device that it works on.
    """
    # The longest first: one may be a part of another.
    secrets = sorted(set(_passwords(config)), key=len, reverse=True)
    formatter: logging.Formatter
    if config.log_format == "json":
        formatter = _JsonFormatter(secrets, {"worker": worker, "device": device})
    else:
        formatter = _TextFormatter(secrets)
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=config.log_level, handlers=[handler])
    logging.captureWarnings(True)
    # It tells which of its plugins it loads whenever the schema is looked at.
    logging.getLogger("alembic").setLevel(max(logging.WARNING, logging.getLogger().level))


def _passwords(config: Settings) -> Iterator[str]:
    """Each password, as it is written in its address and as it is meant."""
    for address in (config.database_url, config.broker_url):
        if found := _PASSWORD.search(address.get_secret_value()):
            yield from (found[1], unquote(found[1]))
    for login in config.flower_auth.get_secret_value().split(","):
        if password := login.partition(":")[2]:
            yield password


def _hide(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return text


class _TextFormatter(logging.Formatter):
    """A line as people read it, whatever the names of files have in them."""

    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__(_TEXT)
        self._secrets = secrets

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line."""
        return printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback below it."""
        return _hide(super().format(record), self._secrets)


class _JsonFormatter(logging.Formatter):
    """A line as programs read it: always the same keys, and `traceback` where there is one."""

    def __init__(self, secrets: Sequence[str], process: Mapping[str, Any]) -> None:
        super().__init__()
        self._secrets = secrets
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object, without a line break in it."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _hide(record.getMessage(), self._secrets),
            "job": None,
            "attempt": None,
            **_about.get(),
            **self._process,
        }
        if record.exc_info:
            line["traceback"] = _hide(self.formatException(record.exc_info), self._secrets)
        return json.dumps(line, ensure_ascii=False)

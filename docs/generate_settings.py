"""Writes docs/settings.md from db/settings.py, where every setting is described once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from db.settings import PREFIX, Settings

PAGE = Path(__file__).with_name("settings.md")

_HEAD = """\
# Settings

Every setting is an environment variable; times are in seconds. None is needed on one machine: the
defaults are the embedded set that `nightshelf up` starts. This page is generated from
`db/settings.py` by `make docs`.

| variable | default | what it is |
|---|---|---|
"""


def page() -> str:
    """The page, as Markdown."""
    rows = [
        f"| `{PREFIX}{name.upper()}` | {_default(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return _HEAD + "\n".join(rows) + "\n"


def _default(value: Any) -> str:
    if isinstance(value, SecretStr) or value == "":
        return "(empty)"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""docker-compose.yml as Compose reads it: anchors resolved and variables filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parent.parent
COMPOSE_FILE = REPOSITORY / "docker-compose.yml"
ENV_EXAMPLE = REPOSITORY / ".env.example"

IMAGE = "nightshelf:latest"

# The innermost one: what stands in for an unset variable may hold variables itself.
_VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:-|:\?)([^${}]*))?\}")


def variables(path: Path = ENV_EXAMPLE) -> dict[str, str]:
    """The variables that an .env file sets."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: value for name, _, value in pairs}


def load(values: Mapping[str, str]) -> dict[str, Any]:
    """The whole file for these variables.

    Raises:
        KeyError: a variable is wanted that is not set.
    """
    whole: dict[str, Any] = _filled(yaml.safe_load(COMPOSE_FILE.read_text("utf-8")), values)
    return whole


def our_services(values: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The services that run our image."""
    services = load(values)["services"]
    return {name: one for name, one in services.items() if one["image"] == IMAGE}


def _filled(node: Any, values: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, values) for value in node]
    return fill(node, values) if isinstance(node, str) else node


def fill(text: str, values: Mapping[str, str]) -> str:
    """A text with its variables filled in.

    Raises:
        KeyError: one is wanted (`${NAME:?why}`) that is not set.
    """

    def value(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        if values.get(name):
            return values[name]
        if operator == ":-":
            return str(rest)
        raise KeyError(name)

    count = 1
    while count:
        text, count = _VARIABLE.subn(value, text)
    return text.replace("$$", "$")

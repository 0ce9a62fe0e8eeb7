"""Pages of HTML that need nothing beside them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from jinja2 import Environment, PackageLoader

_PAGES = Environment(loader=PackageLoader("worker.evaluation", "."), autoescape=True)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a page: what it shows, its media type, and its content."""

    title: str
    type: str
    base64: str

    @classmethod
    def of_png(cls, title: str, png: bytes) -> Self:
        """A plot."""
        return cls(title, "image/png", base64.b64encode(png).decode())

    @classmethod
    def of_jpeg(cls, path: Path) -> Self:
        """A file."""
        return cls(path.stem, "image/jpeg", base64.b64encode(path.read_bytes()).decode())


def page(template: str, **values: Any) -> str:
    """The page of a template of this folder, with these values."""
    return _PAGES.get_template(template).render(**values)

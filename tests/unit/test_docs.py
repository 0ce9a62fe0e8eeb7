"""The generated page of docs/ is as the code has it."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_settings_is_what_the_code_says() -> None:
    generator = runpy.run_path(str(DOCS / "generate_settings.py"))
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert page == generator["page"](), "run `make docs`"

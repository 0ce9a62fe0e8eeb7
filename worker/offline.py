"""Ultralytics kept off the network, whatever it would like to have from there."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from ultralytics.utils import USER_CONFIG_DIR, downloads

from worker.drawing import FONT

# It looks for these, and asks a host for what it does not find: `YOLO_OFFLINE` does not keep it
# from that. Ours serves as well.
_FONTS = ("Arial.ttf", "Arial.Unicode.ttf")


def stay_offline() -> None:
    """Have fonts at hand, and every download refused.

    On a CUDA device, Ultralytics checks mixed precision with a model of its own that it downloads;
    where it cannot, it trusts in mixed precision and goes on.

    Raises:
        OSError: the fonts cannot be written beside its settings.
    """
    downloads.safe_download = _refuse  # type: ignore[assignment]
    for name in _FONTS:
        font = USER_CONFIG_DIR / name
        if not font.exists():
            _place(font)


def _place(font: Path) -> None:
    """A copy, since the folder outlives the environment that a link would lead into.

    It appears at once and whole: other runners look for it at the same moment.
    """
    with tempfile.TemporaryDirectory(dir=font.parent) as folder:
        copy = Path(folder) / font.name
        shutil.copyfile(FONT, copy)
        os.replace(copy, font)


def _refuse(url: str, *arguments: Any, **options: Any) -> NoReturn:
    raise ConnectionError(f"nothing is downloaded here: {url}")

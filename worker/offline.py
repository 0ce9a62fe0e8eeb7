"""Ultralytics kept off the network, whatever it would like to have from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import matplotlib
from ultralytics.utils import USER_CONFIG_DIR, downloads

# It looks for these, and asks a host for what it does not find: `YOLO_OFFLINE` does not keep it
# from that. Matplotlib's own serves as well.
_FONTS = ("Arial.ttf", "Arial.Unicode.ttf")


def stay_offline() -> None:
    """Have fonts at hand, and every download refused.

    On a CUDA device, Ultralytics checks mixed precision with a model of its own that it downloads;
    where it cannot, it trusts in mixed precision and goes on.
    """
    downloads.safe_download = _refuse  # type: ignore[assignment]
    ours = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    for name in _FONTS:
        font = USER_CONFIG_DIR / name
        if not font.exists():
            font.symlink_to(ours)


def _refuse(url: str, *arguments: Any, **options: Any) -> NoReturn:
    raise ConnectionError(f"nothing is downloaded here: {url}")

"""Ultralytics asks no host for anything, whatever it would like to have."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from db.dataset_files import find_dataset, sha256_of_dataset
from db.files import sha256_of
from db.layout import model_address
from db.specs import EvaluateSpec
from demo.dataset import Shoot, write_dataset
from tests.deployment import WEIGHTS
from tests.quiet import quiet_ultralytics
from worker.context import Context
from worker.jobs import evaluate


def _uncached(cached: Any) -> Any:
    """It would not look again for what an earlier test found."""
    return cached.__wrapped__.__wrapped__


@pytest.fixture(autouse=True)
def nobody_to_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A fresh folder of settings, with no font in it, and hosts that fail the test."""
    with quiet_ultralytics(tmp_path / "quiet"):
        import requests
        from ultralytics.utils import checks, downloads

        def ask(*arguments: Any, **options: Any) -> None:
            pytest.fail(f"a host was asked: {arguments}")

        for method in ("head", "get"):
            monkeypatch.setattr(requests, method, ask)
        fonts = tmp_path / "fonts"
        fonts.mkdir()
        monkeypatch.setattr(checks, "USER_CONFIG_DIR", fonts)
        monkeypatch.setattr("worker.offline.USER_CONFIG_DIR", fonts)
        monkeypatch.setattr(downloads, "safe_download", downloads.safe_download)
        monkeypatch.setattr("ultralytics.data.utils.check_font", _uncached(checks.check_font))
        yield


def test_a_font_of_an_environment_that_is_gone_is_replaced(tmp_path: Path) -> None:
    from worker.offline import stay_offline

    font = tmp_path / "fonts" / "Arial.ttf"
    font.symlink_to(tmp_path / "gone" / "DejaVuSans.ttf")
    stay_offline()
    assert font.is_file()
    assert not font.is_symlink()


def test_an_evaluation_asks_nobody(tmp_path: Path) -> None:
    shoot = Shoot("val", first_seed=90_000, belts=1, shelves=0, frames=2)
    data = write_dataset(tmp_path / "set", (shoot,))
    home = tmp_path / "home"
    kept = home / model_address(sha256_of(WEIGHTS))
    kept.parent.mkdir(parents=True)
    shutil.copyfile(WEIGHTS, kept)
    spec = EvaluateSpec(
        model="products@1",
        model_sha256=sha256_of(WEIGHTS),
        name="scenes",
        data=str(data),
        dataset_sha256=sha256_of_dataset(find_dataset(data), lambda done, total: None),
        imgsz=64,
    )
    (home / "attempt-1").mkdir()
    found = evaluate.run(spec, Context(home, home / "attempt-1"))
    assert found.images == 2


def test_fonts_are_at_hand_and_a_download_is_refused() -> None:
    from ultralytics import YOLO
    from ultralytics.utils import WEIGHTS_DIR
    from ultralytics.utils.checks import check_font

    from worker.offline import stay_offline

    stay_offline()
    for font in ("Arial.ttf", "Arial.Unicode.ttf"):
        assert Path(str(check_font(font))).is_file()
    # What the check of mixed precision does on a GPU: it takes such an error for "go on".
    with pytest.raises(ConnectionError, match="nothing is downloaded here"):
        YOLO(WEIGHTS_DIR / "yolo26n.pt")

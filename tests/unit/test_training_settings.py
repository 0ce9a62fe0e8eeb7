"""What `--set` takes, and what it says of what it does not take."""

from __future__ import annotations

from typing import Any

import pytest

from db.errors import UsageError
from db.training_settings import SETTINGS, check_setting, read_setting, read_settings


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("lr0=0.001", ("lr0", 0.001)),
        ("lr0 = 1e-3", ("lr0", 0.001)),
        ("close_mosaic=0", ("close_mosaic", 0)),
        ("cos_lr=True", ("cos_lr", True)),
        ("freeze=10", ("freeze", 10)),
        ("freeze=0,1,2", ("freeze", [0, 1, 2])),
        ("freeze=[0, 1]", ("freeze", [0, 1])),
        ("amp=false", ("amp", False)),
        ("amp=bf16", ("amp", "bf16")),
        ("optimizer=AdamW", ("optimizer", "AdamW")),
    ],
)
def test_a_setting_is_read_as_what_it_is(typed: str, read: tuple[str, Any]) -> None:
    assert read_setting(typed) == read
    assert type(read_setting(typed)[1]) is type(read[1])


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("lr0", "sets nothing: say NAME=VALUE"),
        ("lro=0.1", "no setting 'lro': did you mean lrf, lr0"),
        ("quux=1", "no setting 'quux': see docs/training.md"),
        ("epochs=3", "epochs is not for --set: say --epochs"),
        ("model=x.pt", "model is not for --set: say --base"),
        ("project=/etc", "no setting 'project'"),
        ("lr0=1e10", "lr0 cannot be 10000000000.0: it is a number from 0 to 1"),
        ("lr0=nan", "lr0 cannot be nan"),
        ("lr0=fast", "lr0 cannot be 'fast'"),
        ("lr0=true", "lr0 cannot be True"),
        ("nbs=0.5", "nbs cannot be 0.5: it is a whole number from 1"),
        ("cos_lr=1", "cos_lr cannot be 1: it is true, false"),
        ("optimizer=Lion", "optimizer cannot be 'Lion': it is auto, SGD"),
        ("freeze=-1", "freeze cannot be -1: it is how many of the first layers"),
        ("freeze=head", "freeze cannot be 'head'"),
    ],
)
def test_what_cannot_be_set_is_refused_with_what_can(typed: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_setting(typed)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_setting_is_given_once() -> None:
    assert read_settings(["lr0=0.1", "lrf=0.2"]) == {"lr0": 0.1, "lrf": 0.2}
    with pytest.raises(UsageError, match=r"--set lr0 is given twice: 0\.1 and 0\.2"):
        read_settings(["lr0=0.1", "lr0=0.2"])


def test_the_ends_of_a_range_belong_to_it() -> None:
    for name in SETTINGS:
        if (least := getattr(SETTINGS[name], "least", None)) is not None:
            check_setting(name, int(least) if float(least).is_integer() else least)

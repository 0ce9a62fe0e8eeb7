"""Which of Ultralytics' own arguments a training may set, and what values they take.

Those that say where files lie, that another option says, or that mean nothing for detection are
left out. A test holds the table to the installed Ultralytics.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from db.errors import UsageError

Value = bool | int | float | str | list[int]

# Options of `train` itself, by the name that Ultralytics has for them.
_OPTIONS = {
    "model": "--base",
    "pretrained": "--base",
    "data": "DATA",
    "name": "--name",
    "epochs": "--epochs",
    "imgsz": "--imgsz",
    "batch": "--batch",
    "patience": "--patience",
    "seed": "--seed",
    "device": "--device",
    "resume": "--extend",
}


@dataclass(frozen=True, slots=True)
class Number:
    """A number between two others, both included."""

    least: float
    most: float = math.inf
    whole: bool = False

    def accepts(self, value: Value) -> bool:
        """Whether it is one."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.least <= value <= self.most and (not self.whole or isinstance(value, int))

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.least:g}" + (
            f" to {self.most:g}" if self.most < math.inf else ""
        )


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some words, or of true and false."""

    words: tuple[str, ...] = ()
    switch: bool = False

    def accepts(self, value: Value) -> bool:
        """Whether it is one."""
        return self.switch if isinstance(value, bool) else value in self.words

    def __str__(self) -> str:
        return ", ".join((*self.words, *(("true", "false") if self.switch else ())))


@dataclass(frozen=True, slots=True)
class Layers:
    """The first so many layers, or the layers with these numbers."""

    def accepts(self, value: Value) -> bool:
        """Whether it is one."""
        numbers = value if isinstance(value, list) else [value]
        return bool(numbers) and all(type(one) is int and one >= 0 for one in numbers)

    def __str__(self) -> str:
        return "how many of the first layers, or the numbers of layers: 10, or 0,1,2"


_FRACTION, _POSITIVE, _SWITCH = Number(0, 1), Number(0), OneOf(switch=True)

SETTINGS: Mapping[str, Number | OneOf | Layers] = {
    # How it learns.
    "optimizer": OneOf(
        ("auto", "SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSprop")
    ),
    "lr0": _FRACTION,
    "lrf": _FRACTION,
    "cos_lr": _SWITCH,
    "momentum": _FRACTION,
    "weight_decay": _FRACTION,
    "warmup_epochs": _POSITIVE,
    "warmup_momentum": _FRACTION,
    "warmup_bias_lr": _FRACTION,
    "nbs": Number(1, whole=True),
    "freeze": Layers(),
    "cls_remap": _SWITCH,
    # What counts as an error.
    "box": _POSITIVE,
    "cls": _POSITIVE,
    "dfl": _POSITIVE,
    "cls_pw": _FRACTION,
    "single_cls": _SWITCH,
    # What is made of the images.
    "hsv_h": _FRACTION,
    "hsv_s": _FRACTION,
    "hsv_v": _FRACTION,
    "degrees": _POSITIVE,
    "translate": _FRACTION,
    "scale": _FRACTION,
    "shear": _POSITIVE,
    "perspective": _FRACTION,
    "flipud": _FRACTION,
    "fliplr": _FRACTION,
    "bgr": _FRACTION,
    "mosaic": _FRACTION,
    "close_mosaic": Number(0, whole=True),
    "mixup": _FRACTION,
    "cutmix": _FRACTION,
    "multi_scale": _FRACTION,
    "rect": _SWITCH,
    "fraction": Number(0.001, 1),
    # How boxes are told from each other when it is validated.
    "iou": _FRACTION,
    "max_det": Number(1, whole=True),
    # How the machine is used.
    "amp": OneOf(("fp16", "bf16", "fp32"), switch=True),
    "cache": OneOf(("ram", "disk"), switch=True),
    "channels_last": _SWITCH,
    "deterministic": _SWITCH,
    "workers": Number(0, whole=True),
}


def read_setting(text: str) -> tuple[str, Value]:
    """The name and value of `lr0=0.001`.

    Raises:
        UsageError: there is no such setting, or it takes no such value.
    """
    name, separator, value = (part.strip() for part in text.partition("="))
    if not separator:
        raise UsageError(f"{text!r} sets nothing: say NAME=VALUE, as in --set lr0=0.001")
    read = _read(value)
    try:
        check_setting(name, read)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return name, read


def read_settings(texts: Iterable[str]) -> dict[str, Value]:
    """The names and values of several.

    Raises:
        UsageError: one of them cannot be, or is given twice.
    """
    found: dict[str, Value] = {}
    for name, value in map(read_setting, texts):
        if name in found:
            raise UsageError(f"--set {name} is given twice: {found[name]} and {value}")
        found[name] = value
    return found


def check_setting(name: str, value: Value) -> None:
    """Make sure that a training can be told this.

    Raises:
        ValueError: it cannot.
    """
    if name in _OPTIONS:
        raise ValueError(f"{name} is not for --set: say {_OPTIONS[name]}")
    if name not in SETTINGS:
        near = difflib.get_close_matches(name, SETTINGS, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "see docs/training.md"
        raise ValueError(f"a training has no setting {name!r}: {hint}")
    if not SETTINGS[name].accepts(value):
        raise ValueError(f"{name} cannot be {value!r}: it is {SETTINGS[name]}")


def _read(text: str) -> Value:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    try:
        return [int(part) for part in text.strip("[]").split(",")]
    except ValueError:
        return text

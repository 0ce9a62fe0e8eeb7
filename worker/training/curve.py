"""A training in a line of text: where it is, how it went so far, and how long it may take."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from db.training_results import EpochFacts

_BARS = "▁▂▃▄▅▆▇█"
_MOST_BARS = 24


def sparkline(values: Sequence[float]) -> str:
    """The last of some values between 0 and 1 as bars, the highest of which is full."""
    shown = values[-_MOST_BARS:]
    top = max(shown, default=0.0) or 1.0
    return "".join(_BARS[round(max(value, 0.0) / top * (len(_BARS) - 1))] for value in shown)


def described(
    epoch: int, last_epoch: int, done: Sequence[EpochFacts], here: int, on_cpu: bool
) -> str:
    """The line for an epoch under way; it stays the same until that ends.

    Args:
        epoch: which, from 1.
        last_epoch: that is asked for.
        done: the epochs so far, of all attempts.
        here: how many of them this attempt trained, whose speed tells that of the next.
        on_cpu: whether there is no GPU.
    """
    words = [f"epoch {epoch}/{last_epoch}"]
    if done:
        last = done[-1]
        words.append(f"box {last.box_loss:.3f} cls {last.cls_loss:.3f} dfl {last.dfl_loss:.3f}")
        words.append(f"mAP50 {last.map50:.3f} {sparkline([one.map50 for one in done])}")
    if done and done[-1].final:
        words.append("validating the best")
    elif here:
        left = fmean(one.seconds for one in done[-here:]) * (last_epoch - epoch + 1)
        words.append(f"{_duration(left)} left" + (" without a GPU" if on_cpu else ""))
    elif on_cpu:
        words.append("there is no GPU: after an epoch it is known how long it takes")
    return ", ".join(words)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(seconds, 1):.0f} s"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"

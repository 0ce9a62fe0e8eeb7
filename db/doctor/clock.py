"""How far another machine's clock is from this one's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from db.doctor.finding import Finding, Verdict

# Leases are counted by the database's clock alone, so a clock that is off loses no work: it puts
# times in logs and files beside those in rows. NTP keeps machines within milliseconds.
_WARNING_S = 2.0
_BAD_S = 30.0


def offset_s(read: Callable[[], datetime]) -> float:
    """By how many seconds a clock is ahead of this machine's, taken in the middle of reading it."""
    before = datetime.now(UTC)
    there = read()
    after = datetime.now(UTC)
    return (there - (before + (after - before) / 2)).total_seconds()


def clock(whose: str, offset_s: float) -> Finding:
    """The verdict on a clock that is `offset_s` seconds ahead of this machine's."""
    off = abs(offset_s)
    side = "ahead of" if offset_s > 0 else "behind"
    value = f"{off:.1f} s {side} this machine's" if off >= 0.1 else "the same as this machine's"
    what = f"{whose} clock"
    if off <= _WARNING_S:
        return Finding(what, value)
    verdict = Verdict.BAD if off > _BAD_S else Verdict.WARNING
    return Finding(what, value, verdict, "let NTP (chrony, systemd-timesyncd) set both clocks")

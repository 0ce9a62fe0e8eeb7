"""What was found to be so, whether that is well, and what to do where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """How a finding is to be taken, from the least to the worst."""

    OK = "ok"
    WARNING = "warning"
    """It works, and could be better; or it could not be seen."""
    BAD = "bad"
    """Something will fail, be slow or be open to others, but no work is lost or repeated."""
    FATAL = "fatal"
    """Work would be lost or repeated, or none could be done: a worker refuses to start."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: the thing, in a few words.
        value: how it was found; never a password.
        verdict: whether that is well.
        cure: what to do; empty where nothing is to be done.
    """

    what: str
    value: str
    verdict: Verdict = Verdict.OK
    cure: str = ""

    @property
    def refuses(self) -> bool:
        """Whether a worker refuses to start on it."""
        return self.verdict is Verdict.FATAL

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON would hold it."""
        return {
            "what": self.what,
            "value": self.value,
            "verdict": self.verdict.value,
            "cure": self.cure,
            "refuses": self.refuses,
        }


def unseen(what: str, cure: str) -> Finding:
    """A thing that may be well or not: whoever was asked refused to say, as managed servers do."""
    return Finding(what, "could not be seen", Verdict.WARNING, cure)

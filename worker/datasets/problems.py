"""What can be wrong with a data set, and how much it matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How a problem is to be taken, from the least to the worst."""

    WARNING = "warning"
    """Training works, and may be worse for it."""
    ERROR = "error"
    """Training or its evaluation would be wrong, or would leave something out."""


class Kind(StrEnum):
    """What is wrong."""

    REPAIRED = "repaired"
    UNREADABLE_IMAGE = "unreadable image"
    MISSING_IMAGE = "missing image"
    UNDECODABLE_NAME = "file name that is not UTF-8"
    LABEL_WITHOUT_IMAGE = "label without image"
    IMAGE_WITHOUT_LABEL = "image without label"
    MALFORMED_LINE = "malformed line"
    CLASS_OUT_OF_RANGE = "class out of range"
    MIXED_SHAPES = "boxes and polygons in one file"
    BOX_OUTSIDE = "box outside the image"
    OVER_THE_EDGE = "box over the edge"
    DEGENERATE_BOX = "degenerate box"
    DUPLICATE_BOX = "duplicate box"
    SEGMENT = "segment given as a box"
    SAME_IMAGE = "same image in two splits"
    SIMILAR_IMAGE = "nearly the same image in two splits"
    REPEATED_IMAGE = "same image twice in a split"
    NO_LABELS = "no labels"
    REPEATED_NAME = "two classes of one name"
    EMPTY_CLASS = "class without instances"
    IMBALANCE = "imbalanced classes"
    MISSING_SPLIT = "missing split"


SEVERITY: dict[Kind, Severity] = {
    Kind.REPAIRED: Severity.WARNING,
    # Ultralytics leaves the image out of training, with a line in its log.
    Kind.UNREADABLE_IMAGE: Severity.ERROR,
    Kind.MISSING_IMAGE: Severity.ERROR,
    # It fits into no row and no report.
    Kind.UNDECODABLE_NAME: Severity.ERROR,
    Kind.MALFORMED_LINE: Severity.ERROR,
    Kind.CLASS_OUT_OF_RANGE: Severity.ERROR,
    Kind.MIXED_SHAPES: Severity.ERROR,
    Kind.BOX_OUTSIDE: Severity.ERROR,
    Kind.DEGENERATE_BOX: Severity.ERROR,
    # Ultralytics keeps it, and cuts it off at the edge where it augments.
    Kind.OVER_THE_EDGE: Severity.WARNING,
    Kind.LABEL_WITHOUT_IMAGE: Severity.WARNING,
    # It is trained on as background: right only if there is nothing to see in it.
    Kind.IMAGE_WITHOUT_LABEL: Severity.WARNING,
    Kind.DUPLICATE_BOX: Severity.WARNING,
    Kind.SEGMENT: Severity.WARNING,
    # What the model was trained on says nothing of what it has not seen.
    Kind.SAME_IMAGE: Severity.ERROR,
    Kind.SIMILAR_IMAGE: Severity.WARNING,
    Kind.REPEATED_IMAGE: Severity.WARNING,
    Kind.NO_LABELS: Severity.ERROR,
    # Nothing that is counted by class could be told apart.
    Kind.REPEATED_NAME: Severity.ERROR,
    Kind.EMPTY_CLASS: Severity.WARNING,
    Kind.IMBALANCE: Severity.WARNING,
    Kind.MISSING_SPLIT: Severity.ERROR,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: what.
        split: where; None if it is not of one split.
        where: the file and line, or what else says where it is.
    """

    kind: Kind
    split: str | None
    where: str


@dataclass(frozen=True, slots=True)
class Finding:
    """All problems of a kind in a split.

    Attributes:
        kind: what is wrong.
        severity: how much it matters.
        split: where; None if it is not of one split.
        count: how often.
        examples: the first few, as they were found.
    """

    kind: Kind
    severity: Severity
    split: str | None
    count: int
    examples: tuple[str, ...]


_EXAMPLES = 5


def summed_up(problems: Iterable[Problem]) -> list[Finding]:
    """Problems by kind and split, the worst first, then the most frequent."""
    counts: Counter[tuple[Kind, str | None]] = Counter()
    examples: dict[tuple[Kind, str | None], list[str]] = {}
    for problem in problems:
        key = (problem.kind, problem.split)
        counts[key] += 1
        few = examples.setdefault(key, [])
        if len(few) < _EXAMPLES:
            few.append(problem.where)
    found = [
        Finding(kind, SEVERITY[kind], split, count, tuple(examples[kind, split]))
        for (kind, split), count in counts.items()
    ]
    return sorted(found, key=lambda one: (one.severity is not Severity.ERROR, -one.count, one.kind))

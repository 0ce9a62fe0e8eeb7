"""What became of the objects and boxes of an image, as it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from db.error_kinds import ErrorKind
from db.one_line import printable
from worker.evaluation.analysis import ImageErrors
from worker.evaluation.outcomes import OUTCOMES
from worker.evaluation.panels import OBJECT, Mark


def objects(one: ImageErrors, names: Mapping[int, str]) -> list[Mark]:
    """The objects that are there, with what became of them."""
    seen = one.seen
    rows = zip(seen.true_xyxy.tolist(), seen.true_class_id.tolist(), one.true_code, strict=True)
    return [
        Mark(tuple(xyxy), printable(names[number]), OUTCOMES[code]) for xyxy, number, code in rows
    ]


def bare_objects(one: ImageErrors, names: Mapping[int, str]) -> list[Mark]:
    """The objects that are there, whatever a model makes of them."""
    return [replace(mark, outcome=OBJECT) for mark in objects(one, names)]


def missed(one: ImageErrors, names: Mapping[int, str]) -> list[Mark]:
    """The objects that were not seen."""
    return [mark for mark in objects(one, names) if mark.outcome == ErrorKind.MISSED]


def boxes(one: ImageErrors, names: Mapping[int, str]) -> list[Mark]:
    """The boxes that count, the most confident first."""
    seen, counted = one.seen, one.counted
    rows = zip(
        seen.xyxy[counted].tolist(),
        seen.class_id[counted].tolist(),
        seen.confidence[counted].tolist(),
        seen.outcomes.code[counted],
        strict=True,
    )
    return [
        Mark(tuple(xyxy), f"{printable(names[number])} {confidence:.2f}", OUTCOMES[code])
        for xyxy, number, confidence, code in rows
    ]

"""What a `check` job writes: a data set, by its content."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from db.dataset_tables import DatasetClassRow, DatasetFindingRow, DatasetRow, DatasetSplitRow
from db.dialect import now
from db.file_facts import FileFacts
from db.specs import CheckSpec


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SplitFacts(_Facts):
    """One split; the columns of `dataset_splits`."""

    split: str
    images: int
    labelled: int
    background: int
    instances: int
    mean_per_class: float
    most_frequent: str | None
    least_frequent: str | None
    imbalance: float | None
    small: int


class ClassFacts(_Facts):
    """One class in one split; the columns of `dataset_classes`."""

    split: str
    class_id: int
    class_name: str
    instances: int
    images: int


class FindingFacts(_Facts):
    """What is wrong; the columns of `dataset_findings`."""

    kind: str
    severity: Literal["warning", "error"]
    split: str | None
    count: int
    examples: tuple[str, ...]


class CheckResult(_Facts):
    """What a `check` job found."""

    kind: Literal["check"] = "check"
    splits: tuple[SplitFacts, ...]
    classes: tuple[ClassFacts, ...]
    findings: tuple[FindingFacts, ...]
    files: tuple[FileFacts, ...]


def write_dataset(tx: Connection, job_id: int, spec: CheckSpec, result: CheckResult) -> None:
    """Write what was found; what an earlier look at the same content found is replaced."""
    dataset_id = known_dataset(tx, spec.dataset_sha256, spec.name, spec.data)
    values = {"name": spec.name, "address": spec.data, "job_id": job_id, "checked_at": now()}
    tx.execute(update(DatasetRow).where(DatasetRow.id == dataset_id).values(**values))
    rows: dict[Any, list[dict[str, Any]]] = {
        DatasetSplitRow: [one.model_dump() for one in result.splits],
        DatasetClassRow: [_class_row(one) for one in result.classes],
        DatasetFindingRow: [
            {"number": number, **one.model_dump(), "examples": list(one.examples)}
            for number, one in enumerate(result.findings, start=1)
        ],
    }
    for table, found in rows.items():
        tx.execute(delete(table).where(table.dataset_id == dataset_id))
        if found:
            tx.execute(
                insert(table.__table__), [{"dataset_id": dataset_id, **one} for one in found]
            )


def _class_row(facts: ClassFacts) -> dict[str, Any]:
    values = facts.model_dump()
    return {"class": values.pop("class_name"), **values}


def known_dataset(tx: Connection, sha256: str, name: str, data: str) -> int:
    """The id of the data set with this content, which is made if nobody has used it before."""
    there = select(DatasetRow.id).where(DatasetRow.sha256 == sha256)
    if (known := tx.scalar(there)) is not None:
        return known
    try:
        with tx.begin_nested():
            tx.execute(insert(DatasetRow).values(sha256=sha256, name=name, address=data))
    except IntegrityError:
        pass  # another job that used it for the first time has ended meanwhile
    return tx.scalars(there).one()

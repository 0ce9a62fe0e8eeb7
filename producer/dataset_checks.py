"""Have data sets checked, and look at those that were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from db.dataset_files import SPLITS, find_dataset, sha256_of_dataset, sha256_of_layout
from db.dataset_tables import DatasetClassRow, DatasetFindingRow, DatasetRow, DatasetSplitRow
from db.dialect import reading
from db.errors import DatasetError
from db.specs import CheckSpec
from producer.enqueue import Enqueued, database, enqueue, validated
from producer.inputs import regular_file

# Names that every data set's file has: the folder's says more.
_PLAIN_NAMES = frozenset({"data", "dataset"})

# Of a content: with fewer, names that people give would be taken for one.
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set that was checked.

    Attributes:
        name: what people call it.
        sha256: its content; the same content is the same version.
        address: the YAML file under which it was last seen.
        job_id: the job that checked it last; None if it was only used.
        checked_at: when.
        splits: a row of `dataset_splits` for each split.
        classes: a row of `dataset_classes` for each class in each split.
        findings: what is wrong with it, the worst first.
    """

    name: str
    sha256: str
    address: str
    job_id: int | None
    checked_at: datetime | None
    splits: tuple[dict[str, Any], ...]
    classes: tuple[dict[str, Any], ...]
    findings: tuple[dict[str, Any], ...]

    @property
    def worst(self) -> str | None:
        """Severity of the worst finding; None if nothing is wrong."""
        return self.findings[0]["severity"] if self.findings else None


def check_dataset(
    data: str | Path,
    name: str | None = None,
    *,
    force: bool = False,
    on_read: Callable[[int, int], None] = lambda done, total: None,
) -> Enqueued:
    """Enqueue a check of a data set, unless the last check of its content asked for the same.

    Args:
        data: its YAML file.
        name: what to call it; the file's name, or its folder's if that is `data.yaml`.
        force: check it again in any case.
        on_read: called with the number of images read so far, and of all.

    Raises:
        UsageError: no such file, or it lies outside the roots.
        DatasetError: the file stands for no data set.
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    path = regular_file(Path(data).expanduser())
    files = find_dataset(path)
    spec = validated(
        CheckSpec,
        name=name or called(path),
        data=str(path),
        dataset_sha256=sha256_of_dataset(files, on_read),
        layout_sha256=sha256_of_layout(files),
    )
    [enqueued] = enqueue([spec], force=force)
    if enqueued.job.over and _of_job(enqueued.job.id) is None:
        # Under another name or YAML file, the same content was checked since.
        [enqueued] = enqueue([spec], force=True)
    return enqueued


def called(data: Path) -> str:
    """The name of a data set that nobody named: its file's, or its folder's if that is plain."""
    return (data.parent.name if data.stem in _PLAIN_NAMES else data.stem) or data.stem


def datasets() -> list[Dataset]:
    """All data sets that were checked, by name, the newest first of each."""
    with reading(database()) as tx:
        return _read(tx)


def checked_by(job_id: int) -> Dataset:
    """The data set as this job found it.

    Raises:
        DatasetError: the same content was checked since, and that stands in its place.
    """
    if (found := _of_job(job_id)) is None:
        raise DatasetError(
            f"what job {job_id} found was replaced by another check of the same content: check it "
            "again"
        )
    return found


def _of_job(job_id: int) -> Dataset | None:
    return next((one for one in datasets() if one.job_id == job_id), None)


def dataset(reference: str) -> Dataset:
    """The data set of this name, the one last checked if there are several, or of this sha256.

    Args:
        reference: the name, or the first digits of the sha256, 8 or more.

    Raises:
        DatasetError: there is none.
    """
    known = datasets()
    for one in known:
        by_content = len(reference) >= _DIGITS and one.sha256.startswith(reference)
        if reference == one.name or by_content:
            return one
    names = ", ".join(sorted({one.name for one in known})) or "none"
    raise DatasetError(
        f"no data set {reference!r} was checked (there are: {names}): give a name, or {_DIGITS} "
        "digits or more of a content, or `nightshelf dataset check DATA.yaml`"
    )


def _read(tx: Connection) -> list[Dataset]:
    splits = _rows(tx, DatasetSplitRow)
    order = {split: place for place, split in enumerate(SPLITS)}
    for rows in splits.values():
        rows.sort(key=lambda row: order[row["split"]])
    classes, findings = _rows(tx, DatasetClassRow), _rows(tx, DatasetFindingRow)
    for rows in classes.values():
        rows.sort(key=lambda row: (order[row["split"]], row["class_id"]))
    for rows in findings.values():
        rows.sort(key=lambda row: row["number"])
    columns = DatasetRow.__table__.c
    query = select(DatasetRow.__table__).order_by(columns.name, columns.checked_at.desc())
    return [
        Dataset(
            *(row[name] for name in ("name", "sha256", "address", "job_id", "checked_at")),
            *(tuple(part.get(row["id"], ())) for part in (splits, classes, findings)),
        )
        for row in tx.execute(query).mappings()
    ]


def _rows(tx: Connection, table: Any) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in tx.execute(select(table.__table__)).mappings():
        values = dict(row)
        found.setdefault(values.pop("dataset_id"), []).append(values)
    return found

"""Register models, and look at those that are."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, select

from db.dialect import reading
from db.errors import ModelError
from db.files import sha256_of
from db.results import refuse_other
from db.settings import settings
from db.specs import Priority, RegisterSpec
from db.storage import storage
from db.tables import ModelClassRow, ModelRow
from producer.enqueue import Enqueued, database, enqueue, validated
from producer.inputs import regular_file


@dataclass(frozen=True, slots=True)
class Model:
    """A registered model; the address is relative to where files are kept, the size in bytes."""

    name: str
    sha256: str
    task: str
    architecture: str
    parameters: int
    size_bytes: int
    classes: tuple[str, ...]
    address: str
    source: str
    job_id: int
    added_at: datetime


def add_model(weights: str | Path, name: str) -> Enqueued:
    """Enqueue the registration of a checkpoint under a name.

    The file is only read for its content here; a worker opens it. A model that is registered
    under this name already, its file in place and whole, costs nothing.

    Raises:
        UsageError: no such file, or the name cannot be one.
        ModelError: the name or the content is registered already, differently.
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    path = regular_file(Path(weights).expanduser())
    spec = validated(RegisterSpec, name=name, weights=str(path), weights_sha256=sha256_of(path))
    broken = False
    for known in models():
        if known.name == spec.name or known.sha256 == spec.weights_sha256:
            refuse_other(known.name, known.sha256, spec)
            broken = not _is_whole(known)
    # Somebody waits at the keyboard, and it takes seconds: before the videos of the night.
    [enqueued] = enqueue([spec], priority=Priority.HIGH, force=broken)
    return enqueued


def _is_whole(known: Model) -> bool:
    """Whether the file that is kept is still what was registered."""
    return storage(settings()).sha256_of(known.address) == known.sha256


def models() -> list[Model]:
    """All registered models, by name."""
    with reading(database()) as tx:
        return _read(tx)


def model(name: str) -> Model:
    """The model registered under a name.

    Raises:
        ModelError: there is none; the message lists near names.
    """
    known = {found.name: found for found in models()}
    if name in known:
        return known[name]
    if near := difflib.get_close_matches(name, known, n=3, cutoff=0.5):
        hint = f"did you mean {', '.join(near)}?"
    else:
        hint = f"register it: `nightshelf models add WEIGHTS --name {name}`"
    raise ModelError(f"no model is registered as {name!r}: {hint}")


def usable_model(name: str) -> Model:
    """The model registered under a name, its file in place.

    Raises:
        ModelError: there is none, or the file is gone; the message says what to do.
        StorageError: the object store does not answer.
    """
    registered = model(name)
    if not storage(settings()).holds(registered.address):
        raise ModelError(
            f"the file of model {name!r} is gone: {settings().located(registered.address)}. "
            "Add it again: "
            f"`nightshelf models add {registered.source} --name {name}`"
        )
    return registered


def _read(tx: Connection) -> list[Model]:
    classes: dict[int, list[str]] = {}
    query = select(ModelClassRow.model_id, ModelClassRow.name)
    for model_id, name in tx.execute(query.order_by(ModelClassRow.class_id)):
        classes.setdefault(model_id, []).append(name)
    columns = ModelRow.__table__.c
    return [
        Model(
            classes=tuple(classes.get(row["id"], ())),
            **{field: row[field] for field in Model.__dataclass_fields__ if field != "classes"},
        )
        for row in tx.execute(select(ModelRow.__table__).order_by(columns.name)).mappings()
    ]

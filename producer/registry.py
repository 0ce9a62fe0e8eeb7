"""Register models, and look at those that are."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, select

from db.dialect import reading
from db.errors import ModelError
from db.files import sha256_of
from db.model_results import refuse_other_name
from db.model_tables import ModelClassRow, ModelRow
from db.settings import settings
from db.specs import Priority, RegisterSpec
from db.states import Stage
from db.storage import storage
from producer.enqueue import Enqueued, database, enqueue, validated
from producer.inputs import regular_file


@dataclass(frozen=True, slots=True)
class Model:
    """A registered model; the address is relative to where files are kept, the size in bytes."""

    id: int
    name: str
    version: int
    stage: Stage
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

    @property
    def reference(self) -> str:
        """The words that mean exactly this version: `fruit@3`."""
        return f"{self.name}@{self.version}"


def add_model(weights: str | Path, name: str) -> Enqueued:
    """Enqueue the registration of a checkpoint under a name, as its next version.

    The file is only read for its content here; a worker opens it. A content that is registered
    under this name already, its file in place and whole, costs nothing.

    Raises:
        UsageError: no such file, or the name cannot be one.
        ModelError: the content is registered already, under another name.
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    path = regular_file(Path(weights).expanduser())
    spec = validated(RegisterSpec, name=name, weights=str(path), weights_sha256=sha256_of(path))
    known = known_content(spec.weights_sha256)
    if known is not None:
        refuse_other_name(known.name, known.version, spec.name)
    # Somebody waits at the keyboard, and it takes seconds: before the videos of the night.
    broken = known is not None and not _is_whole(known)
    [enqueued] = enqueue([spec], priority=Priority.HIGH, force=broken)
    return enqueued


def _is_whole(known: Model) -> bool:
    """Whether the file that is kept is still what was registered."""
    return storage(settings()).sha256_of(known.address) == known.sha256


def models() -> list[Model]:
    """All registered models, by name and version."""
    with reading(database()) as tx:
        return read_models(tx)


def model(reference: str) -> Model:
    """The model that a name stands for: its production version, or with `name@3` that one.

    Raises:
        ModelError: there is none; the message lists near names, or the versions that there are.
    """
    return chosen(models(), reference)


def known_content(sha256: str) -> Model | None:
    """The model that is registered with this content, if one is."""
    return next((one for one in models() if one.sha256 == sha256), None)


def chosen(known: Sequence[Model], reference: str) -> Model:
    """The one of some models that a reference stands for.

    Raises:
        ModelError: none of them.
    """
    name, at, number = reference.partition("@")
    versions = [one for one in known if one.name == name]
    if not versions:
        raise ModelError(f"no model is registered as {name!r}: {_hint(known, name)}")
    stages = ", ".join(f"{one.reference} {one.stage}" for one in versions)
    for one in versions:
        if str(one.version) == number or (not at and one.stage is Stage.PRODUCTION):
            return one
    if at:
        raise ModelError(f"there is no model {reference}: there are {stages}")
    raise ModelError(
        f"no version of {name} is in production: name one ({stages}), or promote it with "
        f"`nightshelf models promote {versions[-1].reference} --why …`"
    )


def _hint(known: Sequence[Model], name: str) -> str:
    if near := difflib.get_close_matches(name, {one.name for one in known}, n=3, cutoff=0.5):
        return f"did you mean {', '.join(near)}?"
    return f"register it: `nightshelf models add WEIGHTS --name {name}`"


def usable_model(reference: str) -> Model:
    """The model that a name, or `name@version`, stands for, its file in place.

    Raises:
        ModelError: there is none, or the file is gone; the message says what to do.
        StorageError: the object store does not answer.
    """
    registered = model(reference)
    if not storage(settings()).holds(registered.address):
        raise ModelError(
            f"the file of model {registered.reference} is gone: "
            f"{settings().located(registered.address)}. Add it again: "
            f"`nightshelf models add {registered.source} --name {registered.name}`"
        )
    return registered


def read_models(tx: Connection) -> list[Model]:
    """All registered models, by name and version."""
    classes: dict[int, list[str]] = {}
    query = select(ModelClassRow.model_id, ModelClassRow.name)
    for model_id, name in tx.execute(query.order_by(ModelClassRow.class_id)):
        classes.setdefault(model_id, []).append(name)
    columns = ModelRow.__table__.c
    query = select(ModelRow.__table__).order_by(columns.name, columns.version)
    return [
        Model(
            **(dict(row) | {"stage": Stage(row["stage"])}),
            classes=tuple(classes.get(row["id"], ())),
        )
        for row in tx.execute(query).mappings()
    ]

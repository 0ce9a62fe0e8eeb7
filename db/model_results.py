"""What the registration of a model writes: a version of a name, known by its content."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from db.dialect import now
from db.errors import ModelError
from db.file_facts import FileFacts
from db.layout import model_address
from db.model_stages import lock_versions
from db.model_tables import ModelClassRow, ModelRow, ModelStageRow
from db.specs import RegisterSpec
from db.states import Stage


class ModelFacts(BaseModel):
    """What a checkpoint is; columns of `models`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    task: str
    architecture: str
    class_names: tuple[str, ...]
    parameters: int
    size_bytes: int


class RegisterResult(ModelFacts):
    """What a checkpoint turned out to be; the file lies at its address already."""

    kind: Literal["register"] = "register"
    files: tuple[FileFacts, ...] = ()


def write_model(tx: Connection, job_id: int, spec: RegisterSpec, result: RegisterResult) -> None:
    """Register a model, or renew what is known of one that is registered under this name.

    Raises:
        ModelError: it is registered under another name.
    """
    facts = ModelFacts(**result.model_dump(exclude={"kind", "files"}))
    known = tx.execute(
        select(ModelRow.id, ModelRow.name, ModelRow.version).where(
            ModelRow.sha256 == spec.weights_sha256
        )
    ).first()
    if known is None:
        add_version(tx, job_id, spec.name, spec.weights_sha256, spec.weights, facts)
        return
    refuse_other_name(known.name, known.version, spec.name)
    tx.execute(
        update(ModelRow)
        .where(ModelRow.id == known.id)
        .values(source=spec.weights, job_id=job_id, added_at=now(), **_columns(facts))
    )
    tx.execute(delete(ModelClassRow).where(ModelClassRow.model_id == known.id))
    _write_classes(tx, known.id, facts)


def add_version(
    tx: Connection,
    job_id: int,
    name: str,
    sha256: str,
    source: str,
    facts: ModelFacts,
    *,
    first_in_production: bool = True,
) -> int:
    """Register a content that is not registered yet as the next version of a name.

    Args:
        tx: the transaction.
        job_id: of the job that found or made it.
        name: the name.
        sha256: of the file, which lies at its address already.
        source: where it is from, for people.
        facts: what it is.
        first_in_production: whether the first version of a name is what the name stands for at
            once, as nothing else could be; every other is a candidate.

    Returns:
        the id of its row.
    """
    values = {
        "name": name,
        "sha256": sha256,
        "address": str(model_address(sha256)),
        "source": source,
        "job_id": job_id,
        "added_at": now(),
        **_columns(facts),
    }
    while True:
        # Two that add to one name wait for each other here, and get different versions.
        lock_versions(tx, name)
        last = _last_version(tx, name)
        stage = Stage.PRODUCTION if last == 0 and first_in_production else Stage.CANDIDATE
        made = insert(ModelRow).values(version=last + 1, stage=stage, **values)
        try:
            with tx.begin_nested():
                model_id = tx.scalars(made.returning(ModelRow.id)).one()
            break
        except IntegrityError:
            # Of a new name there was nothing to wait for: somebody else has added its first.
            if _last_version(tx, name) == last:
                raise
    _write_classes(tx, model_id, facts)
    tx.execute(
        insert(ModelStageRow).values(
            model_id=model_id,
            stage=stage,
            changed_at=now(),
            changed_by=f"job {job_id}",
            why="the first of its name" if stage is Stage.PRODUCTION else "registered",
        )
    )
    return model_id


def _last_version(tx: Connection, name: str) -> int:
    return tx.scalar(select(func.max(ModelRow.version)).where(ModelRow.name == name)) or 0


def _columns(facts: ModelFacts) -> dict[str, Any]:
    return facts.model_dump(exclude={"class_names"})


def _write_classes(tx: Connection, model_id: int, facts: ModelFacts) -> None:
    tx.execute(
        insert(ModelClassRow),
        [
            {"model_id": model_id, "class_id": number, "name": name}
            for number, name in enumerate(facts.class_names)
        ],
    )


def refuse_other_name(known: str, version: int, name: str) -> None:
    """Refuse to register a content under a second name.

    Raises:
        ModelError: the name that it is known by is another.
    """
    if known != name:
        raise ModelError(f"this model is registered already, as {known}@{version}: use that name")

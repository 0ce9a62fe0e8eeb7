"""Which version of a model its name stands for: each change in one transaction, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from db.dialect import now
from db.errors import UsageError
from db.model_tables import ModelRow, ModelStageRow
from db.states import Stage


@dataclass(frozen=True, slots=True)
class Decision:
    """Who changes a stage, and why; the job is the comparison that decided it, if one did."""

    by: str
    why: str
    job_id: int | None = None


@dataclass(frozen=True, slots=True)
class StageChange:
    """A change of a model's stage, as it was recorded."""

    stage: Stage
    changed_at: datetime
    changed_by: str
    why: str
    job_id: int | None


def promote(
    tx: Connection, model_id: int, decision: Decision, *, instead_of: int | None = None
) -> int | None:
    """Put a model into production; the one of its name that was there is retired.

    Args:
        tx: the transaction.
        model_id: the model.
        decision: who and why.
        instead_of: the model that has to be in production now, as that is what was compared with;
            any, or none, if None.

    Returns:
        the id of the model that is retired by it.

    Raises:
        UsageError: it is in production already, or somebody else promoted another just now.
    """
    chosen = tx.execute(select(ModelRow).where(ModelRow.id == model_id).with_for_update()).one()
    if chosen.stage == Stage.PRODUCTION:
        raise UsageError(f"{chosen.name}@{chosen.version} is in production already")
    before = tx.execute(
        select(ModelRow.id, ModelRow.version)
        .where(ModelRow.name == chosen.name, ModelRow.stage == Stage.PRODUCTION)
        .with_for_update()
    ).first()
    if instead_of is not None and (before is None or before.id != instead_of):
        raise UsageError(
            f"the production version of {chosen.name} was changed while it was compared: "
            "promote again, against the one that is there now"
        )
    if before is not None:
        replaced = f"replaced by {chosen.name}@{chosen.version}: {decision.why}"
        _change(tx, before.id, Stage.RETIRED, Decision(decision.by, replaced, decision.job_id))
    try:
        with tx.begin_nested():
            _change(tx, model_id, Stage.PRODUCTION, decision)
    except IntegrityError:
        raise UsageError(
            f"somebody else promoted another version of {chosen.name} just now: "
            "look at `nightshelf models list`"
        ) from None
    return before and int(before.id)


def retire(tx: Connection, model_id: int, decision: Decision) -> None:
    """Take a model out of use; if it was in production, its name stands for nothing then.

    Raises:
        UsageError: it is retired already.
    """
    chosen = tx.execute(select(ModelRow).where(ModelRow.id == model_id).with_for_update()).one()
    if chosen.stage == Stage.RETIRED:
        raise UsageError(f"{chosen.name}@{chosen.version} is retired already")
    _change(tx, model_id, Stage.RETIRED, decision)


def history(tx: Connection, model_id: int) -> list[StageChange]:
    """The changes of a model's stage, the first one first."""
    table = ModelStageRow.__table__
    query = select(table).where(table.c.model_id == model_id).order_by(table.c.id)
    return [
        StageChange(
            Stage(row["stage"]), row["changed_at"], row["changed_by"], row["why"], row["job_id"]
        )
        for row in tx.execute(query).mappings()
    ]


def _change(tx: Connection, model_id: int, stage: Stage, decision: Decision) -> None:
    tx.execute(update(ModelRow).where(ModelRow.id == model_id).values(stage=stage))
    tx.execute(
        insert(ModelStageRow).values(
            model_id=model_id,
            stage=stage,
            changed_at=now(),
            changed_by=decision.by,
            why=decision.why,
            job_id=decision.job_id,
        )
    )

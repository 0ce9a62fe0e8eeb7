"""Which version of a model its name stands for: each change in one transaction, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, ScalarSelect, func, insert, select, update

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
    tx: Connection, model_id: int, decision: Decision, *, since: int | None = None
) -> int | None:
    """Put a model into production; the one of its name that was there is retired.

    Args:
        tx: the transaction.
        model_id: the model.
        decision: who and why.
        since: the `last_change` of its name when the decision was begun: what was decided since
            then, by whomever, is not undone. None: whatever stands.

    Returns:
        the id of the model that is retired by it.

    Raises:
        UsageError: it is in production already, or a stage of its name was changed since then.
    """
    name = select(ModelRow.name).where(ModelRow.id == model_id).scalar_subquery()
    lock_versions(tx, name)
    chosen = tx.execute(select(ModelRow).where(ModelRow.id == model_id)).one()
    if since is not None and last_change(tx, chosen.name) != since:
        raise UsageError(
            f"the stages of {chosen.name} were changed while it was compared: look at "
            f"`nightshelf models show {chosen.name}@{chosen.version}`, and promote again"
        )
    if chosen.stage == Stage.PRODUCTION:
        raise UsageError(f"{chosen.name}@{chosen.version} is in production already")
    before = tx.execute(
        select(ModelRow.id, ModelRow.version).where(
            ModelRow.name == chosen.name, ModelRow.stage == Stage.PRODUCTION
        )
    ).first()
    if before is not None:
        replaced = f"replaced by {chosen.name}@{chosen.version}: {decision.why}"
        _change(tx, before.id, Stage.RETIRED, Decision(decision.by, replaced, decision.job_id))
    _change(tx, model_id, Stage.PRODUCTION, decision)
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


def lock_versions(tx: Connection, name: str | ScalarSelect[str]) -> None:
    """Have all who change something of a name's versions wait for each other.

    In the order of their ids, as by everybody: no two wait for each other in a circle.
    """
    query = select(ModelRow.id).where(ModelRow.name == name).order_by(ModelRow.id)
    tx.execute(query.with_for_update())


def last_change(tx: Connection, name: str, until: datetime | None = None) -> int:
    """The number of the last change of stage among a name's versions; 0 if there was none.

    That a version was added is no change.
    """
    query = (
        select(func.max(ModelStageRow.id))
        .join(ModelRow, ModelRow.id == ModelStageRow.model_id)
        .where(ModelRow.name == name, ModelStageRow.stage != Stage.CANDIDATE)
    )
    if until is not None:
        query = query.where(ModelStageRow.changed_at <= until)
    return tx.scalar(query) or 0


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

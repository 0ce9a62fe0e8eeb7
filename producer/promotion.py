"""Decide which version of a model its name stands for, and look at how that was decided."""

from __future__ import annotations

import getpass
import socket

from db import job_records, model_stages
from db.comparison_results import MIN_IMAGES
from db.dialect import reading
from db.errors import UsageError
from db.model_stages import Decision, StageChange
from producer.comparing import Metric, compared_models
from producer.enqueue import database
from producer.registry import Model, model, usable_model


def promote(reference: str, *, why: str, by: str | None = None) -> Model:
    """Put a version of a model into production: from now on its name means it.

    The version that was there is retired in the same transaction.

    Args:
        reference: `name@version`.
        why: the reason, for those who ask later.
        by: who decides; the user of this process if None.

    Raises:
        ModelError: there is no such model, or its file is gone.
        UsageError: no reason is given, or it is in production already.
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    chosen = usable_model(_exact(reference))
    with database().begin() as tx:
        model_stages.promote(tx, chosen.id, _decision(why, by))
    return model(chosen.reference)


def promote_if_better(
    job_id: int,
    *,
    metric: Metric = "map50_95",
    since: int | None = None,
    by: str | None = None,
) -> Model:
    """Put the model of a comparison into production, if it was shown to be better than the base.

    Better means that the 95 % interval of the difference lies above zero.

    Args:
        job_id: of the comparison, of one model with its base.
        metric: by which.
        since: the `last_stage_change` of its name when this was begun; that of when the comparison
            was asked for, if None. If somebody promoted or retired a version of it since, that is
            not undone.
        by: who decides; the user of this process if None.

    Raises:
        UsageError: it is not better, the message says by how much; the job compared nothing, or
            more than one model; or a stage was changed since.
        ModelError: the model's file is gone.
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    with reading(database()) as tx:
        compared = compared_models(tx, job_id)
    if len(compared) != 2:
        raise UsageError(f"job {job_id} compared no two models: `nightshelf jobs show {job_id}`")
    base, other = compared
    if lost := sorted(set(other.metrics["left_out"]) - set(base.metrics["left_out"])):
        raise UsageError(
            f"{other.model} does not know {', '.join(lost)}, which {base.model} does: nothing was "
            "promoted. If that is meant, promote it with --why"
        )
    difference, low, high = (
        other.metrics[f"{metric}_{part}"] for part in ("difference", "low", "high")
    )
    if low is None:
        raise UsageError(
            f"job {job_id} compared on too few images to tell which is better: nothing was "
            f"promoted. {MIN_IMAGES} are needed at least"
        )
    measured = (
        f"{metric} {difference:+.3f}, 95 % interval [{low:+.3f}, {high:+.3f}], "
        f"compared with {base.model} in job {job_id}"
    )
    if not other.better(metric):
        raise UsageError(
            f"{other.model} was not shown to be better: {measured}; nothing was promoted"
        )
    chosen = usable_model(other.model)
    with database().begin() as tx:
        if since is None:
            asked_at = job_records.get(tx, job_id).created_at
            since = model_stages.last_change(tx, chosen.name, until=asked_at)
        decision = Decision(by or whoami(), measured, job_id)
        model_stages.promote(tx, chosen.id, decision, since=since)
    return model(chosen.reference)


def last_stage_change(name: str) -> int:
    """The number of the last promotion or retirement among the versions of a name, 0 if none.

    Raises:
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    with reading(database()) as tx:
        return model_stages.last_change(tx, name)


def retire(reference: str, *, why: str, by: str | None = None) -> Model:
    """Take a version of a model out of use; a name without one in production stands for none.

    Args:
        reference: `name@version`.
        why: the reason, for those who ask later.
        by: who decides; the user of this process if None.

    Raises:
        ModelError: there is no such model.
        UsageError: no reason is given, or it is retired already.
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    chosen = model(_exact(reference))
    with database().begin() as tx:
        model_stages.retire(tx, chosen.id, _decision(why, by))
    return model(chosen.reference)


def stage_changes(reference: str) -> list[StageChange]:
    """How a model came to be where it stands, the first change first.

    Raises:
        ModelError: there is no such model.
    """
    chosen = model(reference)
    with reading(database()) as tx:
        return model_stages.history(tx, chosen.id)


def _exact(reference: str) -> str:
    if "@" not in reference:
        raise UsageError(
            f"{reference} is a name, which means its production version: say which version, "
            f"such as {reference}@2 (`nightshelf models list`)"
        )
    return reference


def _decision(why: str, by: str | None) -> Decision:
    if not why.strip():
        raise UsageError("a change of stage needs its reason: --why")
    return Decision(by or whoami(), why.strip())


def whoami() -> str:
    """The user of this process, as `user@host`."""
    return f"{getpass.getuser()}@{socket.gethostname()}"

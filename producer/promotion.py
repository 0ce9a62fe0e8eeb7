"""Decide which version of a model its name stands for, and look at how that was decided."""

from __future__ import annotations

import getpass
import socket

from db import model_stages
from db.dialect import reading
from db.errors import UsageError
from db.model_stages import Decision, StageChange
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
        UsageError: no reason is given, it is in production already, or somebody else promoted
            another at the same moment.
        SchemaBehind, Unreachable: the database is not fit to work on.
    """
    chosen = usable_model(_exact(reference))
    with database().begin() as tx:
        model_stages.promote(tx, chosen.id, _decision(why, by))
    return model(chosen.reference)


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

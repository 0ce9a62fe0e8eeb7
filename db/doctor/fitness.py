"""Whether a worker may start: not on what would lose or repeat work."""

from __future__ import annotations

from db.doctor import broker, database, storage
from db.errors import NightshelfError
from db.settings import Settings


class Unfit(NightshelfError):
    """The surroundings are not fit to work in; one line for each reason."""


def check(config: Settings) -> None:
    """Make sure that nothing that can be seen would lose or repeat work.

    A broker that does not answer is no reason: a worker waits for it.

    Raises:
        Unfit: something would; each line says what, and the cure.
    """
    found = [*storage.examine(config), *database.examine(config), *broker.essentials(config)]
    if reasons := [one for one in found if one.refuses]:
        raise Unfit("\n".join(f"{one.what}: {one.value}: {one.cure}" for one in reasons))

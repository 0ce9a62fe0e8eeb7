"""`python -m worker`: the supervisor, as `nightshelf worker` starts it."""

from __future__ import annotations

import logging
import sys

from db.errors import NightshelfError
from db.settings import settings
from worker.supervisor import Supervisor


def main() -> int:
    """Run until told to stop; 1 if the surroundings are not fit to work in."""
    try:
        config = settings()
        logging.basicConfig(
            level=config.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        Supervisor(config).run()
    except NightshelfError as error:
        sys.stderr.write(f"nightshelf worker: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

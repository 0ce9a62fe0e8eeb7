"""`python -m worker`: the supervisor, as `nightshelf worker` starts it."""

from __future__ import annotations

import sys

from db import logs
from db.errors import NightshelfError
from db.settings import settings


def main() -> int:
    """Run until told to stop; 1 if the surroundings are not fit to work in."""
    try:
        config = settings()
        logs.configure(config)
        # It makes the Celery application, and that needs settings that are valid.
        from worker.supervisor import Supervisor

        Supervisor(config).run()
    except NightshelfError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"nightshelf worker: {line}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How a command ended, for scripts."""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """The exit codes of `nightshelf`; 2 is Typer's own, for options that it cannot read."""

    OK = 0
    ERROR = 1
    """It could not be done; the line on standard error says why."""
    JOB_NOT_SUCCEEDED = 3
    """It waited for jobs, and one of them failed or was cancelled."""
    ONLY_WARNINGS = 4
    """`doctor` found what could be better, and nothing worse."""
    BAD_FINDINGS = 5
    """`doctor` found something that is bad."""
    INTERRUPTED = 130
    """Ctrl-C."""


class DatasetExitCode(IntEnum):
    """The exit codes of `nightshelf dataset check --wait`."""

    CLEAN = 0
    NOT_CHECKED = 1
    """It could not be checked; the line on standard error says why."""
    WARNINGS = 3
    """Training works, and may be worse for what was found."""
    ERRORS = 4
    """Something makes training or its evaluation wrong."""

    @classmethod
    def of(cls, severity: str | None) -> Self:
        """The code for the worst that was found."""
        return cls({None: cls.CLEAN, "warning": cls.WARNINGS, "error": cls.ERRORS}[severity])

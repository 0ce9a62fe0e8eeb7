"""How a command ended, for scripts."""

from enum import IntEnum


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

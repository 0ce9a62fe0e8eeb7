"""What our processes owe each other: a child does not outlive its parent.

    python -m db.processes PARENT_PID SIGNAL COMMAND [ARGUMENT ...]

becomes the command, which the kernel sends the signal when the thread that started it ends.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2); what it sets survives execve(2)


def bound_to_me(command: list[str], sent: signal.Signals = signal.SIGTERM) -> list[str]:
    """The command by which a child of this process does not outlive it."""
    return [sys.executable, "-m", "db.processes", str(os.getpid()), sent.name, *command]


def main() -> None:
    """Bind this process to its parent and become the command."""
    parent_pid, sent, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.Signals[sent]))
    if os.getppid() != int(parent_pid):
        sys.exit("the parent process is gone")  # it died before the kernel was told
    os.execvp(command[0], command)  # noqa: S606 - there is no shell, which is the point


if __name__ == "__main__":
    main()

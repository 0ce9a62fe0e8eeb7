"""Whether anybody opens a file: told by the kernel, whoever it is and however it is done."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_IN_ACCESS, _IN_OPEN = 0x1, 0x20  # inotify(7)


class Watched:
    """A file, or all files in a folder, watched from now until `close`."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        watch = libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_ACCESS | _IN_OPEN)
        if watch < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))

    @property
    def opened(self) -> bool:
        """Whether it was opened or read since the last time that somebody asked."""
        try:
            return bool(os.read(self._fd, 2**16))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Watch no more."""
        os.close(self._fd)

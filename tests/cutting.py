"""A proxy before PostgreSQL that cuts the connection at the commit of a job's results."""

from __future__ import annotations

import contextlib
import selectors
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

# Where PostgreSQL and its clients look for each other in a folder.
_SOCKET = ".s.PGSQL.5432"
_RESULTS, _COMMIT = b"INSERT INTO trackings", b"COMMIT"
_CHUNK = 65536

Moment = Literal["before", "after"]


@dataclass
class Cutter:
    """Cuts one connection when it commits results: `before` the server hears of it, or `after`.

    After: the results are committed, and their writer never learns of it.

    Attributes:
        folder: where clients find it, as they find a server.
        cuts: how many connections were cut.
    """

    folder: Path
    server: Path
    moment: Moment
    cuts: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def listen(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        with client, server, selectors.DefaultSelector() as ready, contextlib.suppress(OSError):
            server.connect(str(self.server / _SOCKET))
            ready.register(client, selectors.EVENT_READ)
            ready.register(server, selectors.EVENT_READ)
            holds_results = False
            while True:
                for key, _ in ready.select():
                    data = key.fileobj.recv(_CHUNK)  # type: ignore[union-attr]
                    if not data:
                        return
                    if key.fileobj is server:
                        client.sendall(data)
                        continue
                    holds_results |= _RESULTS in data
                    if holds_results and _COMMIT in data and self._is_first():
                        if self.moment == "after":
                            server.sendall(data)
                            server.recv(_CHUNK)
                        return
                    server.sendall(data)

    def _is_first(self) -> bool:
        with self._lock:
            self.cuts += 1
            return self.cuts == 1


@contextlib.contextmanager
def cutter(server: Path, moment: Moment) -> Iterator[Cutter]:
    """A proxy before the server whose socket lies in a folder."""
    with (
        tempfile.TemporaryDirectory(prefix="nscut-") as name,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        made = Cutter(Path(name), server, moment)
        listener.bind(str(made.folder / _SOCKET))
        listener.listen()
        thread = threading.Thread(target=made.listen, args=(listener,))
        thread.start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()

"""Decode ahead in a thread, so that decoding and inference do not wait for each other."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from queue import Empty, Queue
from threading import Event, Thread

from worker.video import Frame


def read_ahead(frames: Iterable[Frame], depth: int = 8) -> Generator[Frame, None, None]:
    """The same frames in the same order, at most `depth` of them waiting to be used.

    An error in `frames` is raised here, after the frames before it. Leaving early (a break, an
    error, `close`) stops the thread and waits for it; what it was decoding is thrown away.

    Raises:
        ValueError: `depth` is less than 1.
    """
    if depth < 1:
        raise ValueError(f"depth must be 1 or more, not {depth}")
    return _ahead(frames, depth)


def _ahead(frames: Iterable[Frame], depth: int) -> Generator[Frame, None, None]:
    # A frame, or the end: an error, or None where there was none.
    queue: Queue[Frame | BaseException | None] = Queue(depth)
    stop = Event()
    thread = Thread(target=_fill, args=(frames, queue, stop), name="read-ahead", daemon=True)
    thread.start()
    try:
        while isinstance(item := queue.get(), Frame):
            yield item
        if item is not None:
            raise item
    finally:
        # The thread looks at `stop` before every frame, so after this it puts once at most, and
        # an emptied queue has room for that.
        stop.set()
        _empty(queue)
        thread.join()


def _fill(frames: Iterable[Frame], queue: Queue[Frame | BaseException | None], stop: Event) -> None:
    try:
        for frame in frames:
            queue.put(frame)
            if stop.is_set():
                return
    except BaseException as error:
        queue.put(error)
    else:
        queue.put(None)


def _empty(queue: Queue[Frame | BaseException | None]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        pass

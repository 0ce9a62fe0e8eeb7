from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from worker.read_ahead import read_ahead
from worker.video import Frame


def _frames(count: int) -> Iterator[Frame]:
    for index in range(count):
        yield Frame(index, index / 10, np.zeros((2, 2, 3), np.uint8))


def _reading_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


@pytest.mark.parametrize("depth", [1, 8, 100])
def test_the_frames_come_unchanged_and_in_order(depth: int) -> None:
    frames = list(_frames(50))

    ahead = list(read_ahead(frames, depth))

    assert [id(frame) for frame in ahead] == [id(frame) for frame in frames]
    assert _reading_threads() == []


def test_no_more_than_the_depth_is_decoded_ahead() -> None:
    decoded: list[int] = []
    surplus = threading.Event()

    def counted() -> Iterator[Frame]:
        for frame in _frames(100):
            decoded.append(frame.index)
            if len(decoded) > 1 + 4 + 1:
                surplus.set()
            yield frame

    ahead = read_ahead(counted(), depth=4)
    next(ahead)
    # One in use here, four waiting, one in the hand of the thread, and no more.
    assert not surplus.wait(0.2)
    assert len(list(ahead)) == 99


def test_an_error_is_raised_after_the_frames_before_it() -> None:
    def failing() -> Iterator[Frame]:
        yield from _frames(3)
        raise OSError("the disk is gone")

    ahead = read_ahead(failing())

    assert [next(ahead).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)
    assert _reading_threads() == []


@pytest.mark.parametrize("depth", [1, 8])
def test_leaving_early_stops_and_joins_the_thread(depth: int) -> None:
    for frame in read_ahead(_frames(1_000_000), depth):
        if frame.index == 3:
            break

    assert _reading_threads() == []


def test_an_error_of_the_consumer_stops_and_joins_the_thread() -> None:
    def track() -> None:
        for _ in read_ahead(_frames(1_000_000)):
            raise RuntimeError("no tracker")

    with pytest.raises(RuntimeError, match="no tracker"):
        track()

    assert _reading_threads() == []


def test_closing_lets_an_error_of_the_thread_go() -> None:
    reached = threading.Event()

    def failing() -> Iterator[Frame]:
        yield from _frames(1)
        reached.set()
        raise OSError("the disk is gone")

    ahead = read_ahead(failing())
    next(ahead)
    assert reached.wait(10)
    ahead.close()  # type: ignore[attr-defined]

    assert _reading_threads() == []


def test_nothing_is_decoded_before_the_first_frame_is_asked_for() -> None:
    read_ahead(_frames(3))

    assert _reading_threads() == []


def test_a_depth_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="depth"):
        read_ahead(_frames(3), depth=0)

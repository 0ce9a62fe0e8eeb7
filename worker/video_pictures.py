"""Decode the pictures of an opened video, in order of presentation, past whatever is damaged."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from threading import Lock

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from worker.video_container import refuse_bad_disk

# Each decoder thread works on a picture of its own; beyond a few, a detector cannot keep up.
_THREADS = min(4, os.cpu_count() or 1)


class Pictures:
    """The decoded pictures of one video stream, still in the codec's own pixel format.

    They are those of `packets`, or else of all packets of the stream. A packet that cannot be
    decoded is counted and passed over. The packet at which a file was cut off is left out, since
    half a picture shows half grey. With frame threads PyAV 18 also loses the last few pictures
    where one of the last few packets is damaged: it cannot resume draining the decoder after an
    error.

    Attributes:
        undecodable: how many packets were passed over so far.
        stopped_by: what ended the reading before the end of the file, in words; None if nothing.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        packets: Iterable[Packet[VideoStream]] | None = None,
    ) -> None:
        self.undecodable = 0
        self.stopped_by: str | None = None
        self._source = container.demux(stream) if packets is None else packets
        self._container = container
        self._stream = stream
        self._closed = False
        # Closing frees what a thread that reads ahead may be using: one at a time.
        self._lock = Lock()
        stream.thread_type = "AUTO"
        stream.thread_count = _THREADS
        self._decoded = self._decode()

    def next(self) -> VideoFrame | None:
        """The next picture, None after the last.

        Raises:
            OSError: the file could not be read on; trying again may help.
            ValueError: the pictures were closed.
        """
        with self._lock:
            if self._closed:
                raise ValueError("the video is closed")
            return next(self._decoded, None)

    def close(self) -> None:
        """Let go of the file and the decoder; a second time does nothing."""
        with self._lock:
            self._closed = True
            self._decoded.close()
            self._container.close()

    def _decode(self) -> Generator[VideoFrame]:
        for packet in self._packets():
            yield from self._pictures_in(packet)
        yield from self._pictures_in(None)

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        held: Packet[VideoStream] | None = None
        try:
            for packet in self._read():
                if packet.size == 0:
                    continue  # to the decoder an empty packet would mean the end
                if held is not None:
                    yield held
                held = packet
        except av.FFmpegError as error:
            near = 0 if held is None else held.pos or 0
            refuse_bad_disk(error, Path(self._container.name), near)
            self.stopped_by = f"reading stopped before the end ({error.strerror})"
        if held is not None and held.is_corrupt:
            self.stopped_by = "the file ends in the middle of a frame"
        elif held is not None:
            yield held

    def _read(self) -> Iterator[Packet[VideoStream]]:
        source = self._source
        while True:
            try:
                yield from source
            except IndexError:
                # PyAV 18 stumbles over a stream that begins in the middle of the file, as damage
                # can make it seem. Asked anew it knows the stream, and reads on after its packet.
                source = self._container.demux(self._stream)
            else:
                return

    def _pictures_in(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        """What `packet` completes; what the decoder still holds, for None."""
        try:
            return self._stream.decode(packet)
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            self.undecodable += 1
            return []

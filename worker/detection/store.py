"""Detections kept as Parquet under what they were made from, so that none is made twice.

A stored set is a folder of numbered Parquet files and `stored.json`, which says what is in them:

    detections/<xx>/<digest>/<segment>/part-00000.parquet, …, stored.json

Rows (`worker.detection.rows`) are in frame order, and no frame is spread over two files. There are
several because Polars cannot append to a Parquet file, and the detections of a whole night must
never be in memory at once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from db.results import VideoFacts
from worker.detection.detections import Detections
from worker.detection.key import DetectionKey
from worker.detection.rows import from_rows, to_rows

# A few MB a part: small in memory, large enough for Parquet to compress.
_ROWS_PER_PART = 50_000

_CONTENTS = "stored.json"


class Contents(BaseModel):
    """What is in a stored set.

    Attributes:
        video: the video as it was decoded.
        class_names: name of each class; the index is the class id.
        first_frame: number, in the whole video, of the first frame of this part of it.
        frames: frames that the model looked at.
        detections: detections in all of them.
        limited_frames: frames in which a limit on the number of boxes was reached.
        parts: Parquet files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    video: VideoFacts
    class_names: tuple[str, ...]
    first_frame: int
    frames: int
    detections: int
    limited_frames: int
    parts: int


class StoredDetections:
    """The detections of one video under one key, whole.

    Attributes:
        contents: what is in it.
    """

    def __init__(self, folder: Path, conf_floor: float, contents: Contents) -> None:
        self.contents = contents
        self._folder = folder
        self._conf_floor = conf_floor

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self._folder

    def above(self, conf: float) -> Iterator[Detections]:
        """Every frame that the model looked at, in order, with its detections above `conf`.

        Frames without any are there too. One part is in memory at a time.

        Args:
            conf: as for Ultralytics, a detection of exactly this confidence is not one above it.

        Raises:
            ValueError: `conf` is below what was stored.
        """
        if conf < self._conf_floor:
            raise ValueError(f"detections are stored above {self._conf_floor}, not above {conf}")
        for part in range(self.contents.parts):
            yield from from_rows(pl.read_parquet(_part(self._folder, part)), np.float32(conf))


class DetectionWriter:
    """Detections on their way into the store; use it in a `with`.

    What is added is written in parts to a folder of its own, which `commit` moves to its place. A
    writer that is left without a commit leaves nothing; one that is killed leaves its folder under
    the `scratch` that it was given.
    """

    def __init__(self, target: Path, conf_floor: float, scratch: Path) -> None:
        self._target = target
        self._conf_floor = conf_floor
        self._folder = scratch / f"detections-{uuid4().hex}"
        self._folder.mkdir()
        self._pending: list[Detections] = []
        self._pending_rows = 0
        self._parts = 0
        self._frames = 0
        self._detections = 0
        self._limited_frames = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)  # after a commit there is nothing

    def add(self, detections: Detections, limited: bool = False) -> None:
        """Add the next frame, with or without detections.

        Args:
            detections: of a frame that comes after all those added before.
            limited: whether a limit on the number of boxes was reached in it.
        """
        self._pending.append(detections)
        self._pending_rows += max(1, len(detections))
        self._frames += 1
        self._detections += len(detections)
        self._limited_frames += limited
        if self._pending_rows >= _ROWS_PER_PART:
            self._write_part()

    def commit(
        self, video: VideoFacts, class_names: tuple[str, ...], first_frame: int = 0
    ) -> StoredDetections:
        """Make what was added the stored set of its key.

        If somebody else has stored the same set meanwhile, theirs stays: it was made from the same.

        Args:
            video: the video as it was decoded.
            class_names: name of each class; the index is the class id.
            first_frame: number, in the whole video, of the first frame of this part of it.
        """
        if self._pending:
            self._write_part()
        contents = Contents(
            video=video,
            class_names=class_names,
            first_frame=first_frame,
            frames=self._frames,
            detections=self._detections,
            limited_frames=self._limited_frames,
            parts=self._parts,
        )
        described = self._folder / _CONTENTS
        described.write_text(contents.model_dump_json(indent=2))
        _flush(described)
        _flush(self._folder)
        self._target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._folder.rename(self._target)
        except OSError:
            if not (self._target / _CONTENTS).exists():
                shutil.rmtree(self._target)  # what somebody's deleting has left of a set
                self._folder.rename(self._target)
        _flush(self._target.parent)
        return _open(self._target, self._conf_floor)

    def _write_part(self) -> None:
        path = _part(self._folder, self._parts)
        to_rows(self._pending).write_parquet(path)
        _flush(path)
        self._parts += 1
        self._pending = []
        self._pending_rows = 0


class DetectionStore:
    """All stored detections under a `home`."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def find(self, key: DetectionKey) -> StoredDetections | None:
        """The detections under `key`, or None if nobody has stored them."""
        folder = self._home / key.address
        if not (folder / _CONTENTS).exists():
            return None
        return _open(folder, key.conf_floor)

    def write(self, key: DetectionKey, scratch: Path) -> DetectionWriter:
        """Begin to store the detections of `key`.

        Args:
            key: all that they depend on.
            scratch: a folder of the caller's, on the file system of the store, to write in.
        """
        return DetectionWriter(self._home / key.address, key.conf_floor, scratch)


def _open(folder: Path, conf_floor: float) -> StoredDetections:
    contents = Contents.model_validate_json((folder / _CONTENTS).read_text())
    return StoredDetections(folder, conf_floor, contents)


def _part(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05}.parquet"


def _flush(path: Path) -> None:
    """See that it is on the disk and not only on its way there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

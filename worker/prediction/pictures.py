"""Images as Ultralytics reads them, some of them ahead of the model."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from ultralytics.utils.patches import imread

from db.image_files import ImageFiles

# OpenCV decodes outside of Python's lock. A large picture takes 50 ms, of which a GPU needs five.
_THREADS = min(8, len(os.sched_getaffinity(0)))
# Decoded images that wait, each of some tens of MB.
_AHEAD = _THREADS + 2


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file that was read, or could not be.

    Attributes:
        number: from 1, in the order of the names.
        name: of the file, relative to the folder of all.
        image: uint8 (height, width, 3), BGR, as it is shown (EXIF's orientation applied); None if
            it could not be read.
        problem: why it could not.
    """

    number: int
    name: str
    image: NDArray[np.uint8] | None
    problem: str | None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of the image."""
        return None if self.image is None else self.image.shape


def read_pictures(images: ImageFiles, imgsz: int) -> Generator[Picture, None, None]:
    """Every image, in order.

    Args:
        images: the files.
        imgsz: pixels to which the model scales the longer side.
    """
    pool = ThreadPoolExecutor(_THREADS, "decode")
    pending: deque[Future[Picture]] = deque()
    try:
        for number, name in enumerate(images.names, start=1):
            pending.append(pool.submit(_read, number, images.folder, name, imgsz))
            if len(pending) == _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _read(number: int, folder: Path, name: str, imgsz: int) -> Picture:
    image, problem = read_image(folder / name, imgsz)
    return Picture(number, name, image, problem)


def read_image(path: Path, imgsz: int) -> tuple[NDArray[np.uint8] | None, str | None]:
    """Decode an image file with Ultralytics' own reader, as `YOLO.predict` does.

    Args:
        path: the file.
        imgsz: pixels to which the model scales the longer side.

    Returns:
        uint8 (height, width, 3), BGR, and None; or None, and why there is no image.
    """
    try:
        with path.open("rb") as file:
            if not file.read(1):
                return None, "the file is empty"
        found = imread(path)
    except OSError as error:
        return None, f"it cannot be read: {error.strerror}"
    except cv2.error as error:
        return None, f"OpenCV refuses to decode it ({error.err})"
    if found is None:
        return None, "it is no image, or is damaged"
    return _usable(found, imgsz)


def _usable(found: NDArray[np.uint8], imgsz: int) -> tuple[NDArray[np.uint8] | None, str | None]:
    """What a model of three channels can look at; Ultralytics' own would raise."""
    height, width, channels = found.shape
    if channels != 3:
        return None, f"it has {channels} channels"
    if found.dtype != np.uint8:
        return None, f"its values are {found.dtype}, and not integers of 8 or 16 bits"
    if round(min(height, width) * imgsz / max(height, width)) < 1:
        return None, f"it is too narrow: {width} by {height} pixels"
    return np.ascontiguousarray(found), None

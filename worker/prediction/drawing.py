"""Draw what was seen on an image: a box in the class's colour, labelled with class, confidence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.detection.detector import Seen
from worker.drawing import draw_boxes

_KEPT = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_JPEG_QUALITY = 90


def drawn_name(name: str, names: Collection[str]) -> str:
    """What the drawn image of a file is called: a browser must be able to show it.

    Args:
        name: of the file.
        names: of all files, no two of which are drawn under the same name.
    """
    if PurePosixPath(name).suffix.lower() in _KEPT:
        return name
    drawn = f"{name}.jpg"
    while drawn in names:
        drawn += ".jpg"
    return drawn


def write_drawn(path: Path, image: NDArray[np.uint8], seen: Seen, names: Mapping[int, str]) -> None:
    """Write an image with what was seen in it drawn on a copy.

    Args:
        path: the file to write, named by `drawn_name`; its folders are made.
        image: uint8 (height, width, 3), BGR.
        seen: in it.
        names: class id to name.

    Raises:
        OSError: the file cannot be written.
    """
    drawn = _draw(image.copy(), seen, names)
    parameters = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY, cv2.IMWRITE_WEBP_QUALITY, _JPEG_QUALITY]
    written, encoded = cv2.imencode(path.suffix.lower(), drawn, parameters)
    if not written:
        raise OSError(f"{path.name} cannot be encoded")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded.tobytes())


def _draw(image: NDArray[np.uint8], seen: Seen, names: Mapping[int, str]) -> NDArray[np.uint8]:
    """Draw on `image` itself, and return it; the most confident on top."""
    order = np.arange(len(seen.confidence))[::-1]
    class_id = seen.class_id[order].astype(np.int32)
    labels = [
        f"{names[number]} {confidence:.2f}"
        for number, confidence in zip(class_id.tolist(), seen.confidence[order], strict=True)
    ]
    return draw_boxes(image, seen.xyxy[order], class_id, labels)

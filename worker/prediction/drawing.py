"""Draw what was seen on an image: a box in the class's colour, labelled with class, confidence."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath

import cv2
import matplotlib
import numpy as np
import supervision as sv
from numpy.typing import NDArray
from PIL import ImageFont

from worker.annotation import PALETTE, text_colour
from worker.detection.detector import Seen

# Latin, Greek, Cyrillic and much else: the names of classes are not all ASCII, which is all that
# OpenCV's own letters cover.
_FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"

_KEPT = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_JPEG_QUALITY = 90


def drawn_name(name: str) -> str:
    """What the drawn image of a file is called: a browser must be able to show it."""
    kept = PurePosixPath(name).suffix.lower() in _KEPT
    return name if kept else f"{name}.jpg"


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
    drawn = draw(image.copy(), seen, names)
    parameters = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY, cv2.IMWRITE_WEBP_QUALITY, _JPEG_QUALITY]
    written, encoded = cv2.imencode(path.suffix.lower(), drawn, parameters)
    if not written:
        raise OSError(f"{path.name} cannot be encoded")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded.tobytes())


def draw(image: NDArray[np.uint8], seen: Seen, names: Mapping[int, str]) -> NDArray[np.uint8]:
    """Draw on `image` itself, and return it; lines and text are in proportion to its size."""
    if not len(seen.confidence):
        return image
    side = min(image.shape[:2])
    boxes, labels = _annotators(max(2, round(side / 300)), max(12, round(side / 45)))
    # The most confident last: it lies on top.
    order = np.arange(len(seen.confidence))[::-1]
    xyxy, class_id = seen.xyxy[order], seen.class_id[order].astype(int)
    texts = [
        f"{names[number]} {confidence:.2f}"
        for number, confidence in zip(class_id.tolist(), seen.confidence[order], strict=True)
    ]
    boxes.annotate(image, sv.Detections(xyxy, class_id=class_id))
    corners = np.hstack([_corners(image, xyxy, texts, labels)] * 2)
    labels.annotate(image, sv.Detections(corners, class_id=class_id), labels=texts)
    return image


@lru_cache(maxsize=16)
def _annotators(thickness: int, font_size: int) -> tuple[sv.BoxAnnotator, sv.RichLabelAnnotator]:
    return (
        sv.BoxAnnotator(color=PALETTE, thickness=thickness, color_lookup=sv.ColorLookup.CLASS),
        sv.RichLabelAnnotator(
            color=PALETTE,
            text_color=sv.ColorPalette([text_colour(colour) for colour in PALETTE.colors]),
            color_lookup=sv.ColorLookup.CLASS,
            font_path=str(_FONT),
            font_size=font_size,
            text_padding=max(2, font_size // 5),
        ),
    )


def _corners(
    image: NDArray[np.uint8],
    xyxy: NDArray[np.float32],
    texts: list[str],
    labels: sv.RichLabelAnnotator,
) -> NDArray[np.float32]:
    """Lower left corners, float32 (n, 2), at which the labels lie inside the picture.

    That is the upper left corner of its box, unless a border is in the way.
    """
    font = labels.font
    assert isinstance(font, ImageFont.FreeTypeFont)
    sizes = []
    for text in texts:
        left, top, right, bottom = font.getbbox(text)
        sizes.append((right - left, bottom - top))
    padded = np.array(sizes) + 2 * labels.text_padding
    height, width = image.shape[:2]
    x = np.clip(xyxy[:, 0], 0, np.maximum(0, width - 1 - padded[:, 0]))
    y = np.clip(xyxy[:, 1], padded[:, 1], height - 1)
    return np.stack([x, y], axis=1).astype(np.float32)

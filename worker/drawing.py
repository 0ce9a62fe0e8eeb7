"""Boxes drawn on a picture, each with a label: of tracks, of predictions, of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
import supervision as sv
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from db.one_line import printable

PALETTE = sv.ColorPalette.DEFAULT

# Latin, Greek, Cyrillic and much else: the names of classes are not all ASCII, which is all that
# OpenCV's own letters cover.
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def text_colour(background: sv.Color) -> sv.Color:
    """Black or white, whichever is easier to read on `background`.

    The luminances are compared as WCAG 2.1 defines contrast: (lighter + 0.05) / (darker + 0.05).
    """
    luminance = _luminance(background)
    on_black, on_white = (luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05)
    return sv.Color.BLACK if on_black > on_white else sv.Color.WHITE


def _luminance(colour: sv.Color) -> float:
    """Relative luminance, 0 to 1, of an sRGB colour (WCAG 2.1)."""
    channels = np.array([colour.r, colour.g, colour.b]) / 255
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def draw_boxes(
    image: NDArray[np.uint8],
    xyxy: NDArray[np.float32],
    colours: NDArray[np.int32],
    labels: Sequence[str],
) -> NDArray[np.uint8]:
    """Draw on `image` itself, and return it; lines and text are in proportion to its size.

    A label is above its box, or wherever near that it lies inside the picture.

    Args:
        image: uint8 (height, width, 3), BGR.
        xyxy: float32 (n, 4), corners in pixels of the image; the last lie on top.
        colours: int32 (n,), which colour of the palette, which begins anew after its last.
        labels: n texts.
    """
    if not len(labels):
        return image
    side = min(image.shape[:2])
    thickness, font_size = max(2, round(side / 300)), max(12, round(side / 45))
    boxes = sv.BoxAnnotator(color=PALETTE, thickness=thickness)
    lookup = np.asarray(colours, int)
    boxes.annotate(image, sv.Detections(np.asarray(xyxy, np.float32)), custom_color_lookup=lookup)
    for (left, top), number, text in zip(xyxy[:, :2].tolist(), lookup, labels, strict=True):
        _paste(image, _label(text, font_size, int(number) % len(PALETTE.colors)), left, top)
    return image


def _paste(image: NDArray[np.uint8], label: NDArray[np.uint8], left: float, bottom: float) -> None:
    height, width = image.shape[:2]
    label = label[:height, :width]
    y = int(np.clip(round(bottom) - label.shape[0], 0, height - label.shape[0]))
    x = int(np.clip(round(left), 0, width - label.shape[1]))
    image[y : y + label.shape[0], x : x + label.shape[1]] = label


def _label(text: str, font_size: int, colour: int) -> NDArray[np.uint8]:
    """A text on a ground of that colour of the palette: uint8 (height, width, 3), BGR.

    Its last word is a picture of its own: confidences change with every frame, the rest stays.
    """
    head, space, tail = printable(text).rpartition(" ")  # a class may have any name
    words = [_words(one, font_size, colour) for one in (head + space, tail)]
    border = np.full((words[0].shape[0], _padding(font_size), 3), words[0][0, 0], np.uint8)
    return np.hstack([border, *words, border])


# Drawing letters on a whole frame would have it converted for Pillow and back, ten milliseconds
# each; and most words of a frame were in the one before.
@lru_cache(maxsize=4096)
def _words(text: str, font_size: int, colour: int) -> NDArray[np.uint8]:
    font = font_of(font_size)
    ground = PALETTE.by_idx(colour)
    padding = _padding(font_size)
    size = (max(1, round(font.getlength(text))), sum(font.getmetrics()) + padding)
    image = Image.new("RGB", size, ground.as_hex())
    ink = text_colour(ground).as_hex()
    ImageDraw.Draw(image).text((0, padding // 2), text, fill=ink, font=font)
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])


def _padding(font_size: int) -> int:
    return max(2, font_size // 5)


@lru_cache(maxsize=16)
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, in a size in pixels."""
    return ImageFont.truetype(str(FONT), size)

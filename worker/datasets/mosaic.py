"""A sheet of example images with their boxes drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from worker.drawing import draw_boxes

_SIDE = 300
_COLUMNS = 4
_ROWS = 4


def example_images(objects: pl.DataFrame, images: pl.DataFrame) -> list[str]:
    """A few images by which every class is seen, as far as there is room: the fullest of each.

    Args:
        objects: columns `image` and `class`.
        images: columns `image` and `objects`.
    """
    room = _COLUMNS * _ROWS
    chosen: dict[str, None] = {}
    by_class = (
        objects.group_by("class", "image").len().sort(["len", "image"], descending=[True, False])
    )
    ranked = [group["image"].to_list() for _, group in by_class.group_by("class")]
    for rank in range(room):
        for candidates in sorted(ranked, key=len):  # rare classes first
            if rank < len(candidates) and len(chosen) < room:
                chosen[candidates[rank]] = None
    for image in images.sort("objects", descending=True)["image"].to_list():
        if len(chosen) < room:
            chosen[image] = None
    return list(chosen)


def draw(paths: Sequence[str], objects: pl.DataFrame) -> bytes:
    """The images with their boxes, in tiles, as JPEG.

    Args:
        paths: of the images.
        objects: rows of an examination; those of other images are passed over.
    """
    tiles = []
    for path in paths:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            continue  # Pillow reads more formats
        tile, scale = _fitted(image)
        found = objects.filter(pl.col("image") == path)
        centre = found.select("x", "y").to_numpy()
        half = found.select("width", "height").to_numpy() / 2
        size = np.array([image.shape[1], image.shape[0]]) * scale
        xyxy = np.hstack([(centre - half) * size, (centre + half) * size]).reshape(-1, 4)
        colours = found["class_id"].to_numpy().astype(np.int32)
        tiles.append(draw_boxes(tile, xyxy.astype(np.float32), colours, found["class"].to_list()))
    return _sheet(tiles)


def _fitted(image: NDArray[Any]) -> tuple[NDArray[np.uint8], float]:
    """The image within a tile, in its upper left corner, and by how much it was scaled."""
    height, width = image.shape[:2]
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    tile = np.full((_SIDE, _SIDE, 3), 245, np.uint8)
    tile[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return tile, scale


def _sheet(tiles: Sequence[NDArray[np.uint8]]) -> bytes:
    columns = min(_COLUMNS, max(1, len(tiles)))
    rows = max(1, -(-len(tiles) // columns))
    gap = 6
    sheet = np.full((rows * (_SIDE + gap) + gap, columns * (_SIDE + gap) + gap, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = (gap + place * (_SIDE + gap) for place in divmod(number, columns))
        sheet[top : top + _SIDE, left : left + _SIDE] = tile
    written, data = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert written
    return bytes(data)

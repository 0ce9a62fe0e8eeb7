"""Pictures of several panels: the same image with different boxes drawn, beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import supervision as sv
from PIL import Image, ImageDraw
from ultralytics.utils.patches import imread

from db.error_kinds import ErrorKind
from worker.drawing import font_of, text_colour

WIDTH: Final = 1200
OBJECT: Final = "object"
_CORRECT: Final = "correct"
COLOURS: Final = {
    OBJECT: "#00b8d4",
    _CORRECT: "#1b9e4b",
    ErrorKind.WRONG_CLASS: "#9b3fc4",
    ErrorKind.POOR_LOCALISATION: "#f58518",
    ErrorKind.BOTH: "#8c564b",
    ErrorKind.DUPLICATE: "#2f6fd0",
    ErrorKind.BACKGROUND: "#e0242b",
    ErrorKind.MISSED: "#ffd400",
}
_GAP = 6
_COLUMNS = 3
# A panel higher than this would not be seen at once.
_HIGHEST = 700
_JPEG_QUALITY = 85
_HEADING_PX, _TITLE_PX, _LABEL_PX, _SMALL_LABEL_PX = 20, 16, 13, 10
# The share of a panel that labels may cover: with more, they are small, and only on what is wrong.
_LABELLED_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Mark:
    """A box on an image: corners in its pixels, what is written on it, and its outcome."""

    xyxy: tuple[float, float, float, float]
    text: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Panel:
    """What is drawn on the image, and what is written over it, a line each."""

    title: Sequence[str]
    marks: Sequence[Mark]


def side_by_side(path: Path, panels: Sequence[Panel], heading: str) -> bytes:
    """The image once for each panel, with a heading and the colours of the outcomes, as JPEG."""
    # Read as Ultralytics reads it, turned as its EXIF says: so are the boxes.
    pixels = imread(str(path))
    if pixels is None:
        raise FileNotFoundError(f"{path} is gone")
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1]))
    columns = min(_COLUMNS, len(panels))
    width = (WIDTH - _GAP * (columns + 1)) // columns
    scale = min(width / image.width, _HIGHEST / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.LANCZOS)
    rows = -(-len(panels) // columns)
    line = _TITLE_PX + 5
    top, title = _HEADING_PX * 2, line * max(len(panel.title) for panel in panels) + 5
    bottom = _LABEL_PX + 16
    sheet = Image.new(
        "RGB", (WIDTH, top + rows * (title + size[1] + _GAP) + bottom), color="#ffffff"
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _HEADING_PX // 2), heading, fill="#222222", font=font_of(_HEADING_PX))
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        left, upper = _GAP + column * (width + _GAP), top + row * (title + size[1] + _GAP)
        for place, text in enumerate(panel.title):
            cut = _cut(draw, text, width)
            draw.text((left, upper + place * line), cut, fill="#222222", font=font_of(_TITLE_PX))
        sheet.paste(_drawn(small, panel.marks, scale), (left, upper + title))
    _legend(draw, sheet.height - bottom + 6, (mark.outcome for one in panels for mark in one.marks))
    written = BytesIO()
    sheet.save(written, format="JPEG", quality=_JPEG_QUALITY)
    return written.getvalue()


def _drawn(image: Image.Image, marks: Sequence[Mark], scale: float) -> Image.Image:
    """The image with its boxes, and then their labels: no box crosses a label."""
    copy = image.copy()
    draw = ImageDraw.Draw(copy)
    for mark in marks:
        x1, y1, x2, y2 = (value * scale for value in mark.xyxy)
        if x2 > x1 and y2 > y1:
            draw.rectangle((x1, y1, x2, y2), outline=COLOURS[mark.outcome], width=3)
    covered = sum(draw.textlength(mark.text, font=font_of(_LABEL_PX)) for mark in marks) * _LABEL_PX
    crowded = covered > _LABELLED_SHARE * image.width * image.height
    font = font_of(_SMALL_LABEL_PX if crowded else _LABEL_PX)
    taken: list[tuple[float, float, float, float]] = []
    for mark in marks:
        if crowded and mark.outcome == _CORRECT:
            continue
        width = draw.textlength(mark.text, font=font) + 6
        height = font.size + 5
        left = max(0, min(mark.xyxy[0] * scale, image.width - width))
        place = _free(left, max(0, mark.xyxy[1] * scale - height), width, height, taken)
        taken.append(place)
        draw.rectangle(place, fill=COLOURS[mark.outcome])
        ink = text_colour(sv.Color.from_hex(COLOURS[mark.outcome])).as_hex()
        draw.text((place[0] + 3, place[1] + 1), mark.text, fill=ink, font=font)
    return copy


def _free(
    left: float,
    top: float,
    width: float,
    height: float,
    taken: Sequence[tuple[float, float, float, float]],
) -> tuple[float, float, float, float]:
    """The place of a label, moved down until it covers no other."""
    for x1, y1, x2, y2 in sorted(taken, key=lambda one: one[1]):
        if left < x2 and x1 < left + width and top < y2 and y1 < top + height:
            top = y2 + 1
    return left, top, left + width, top + height


def _legend(draw: ImageDraw.ImageDraw, top: int, outcomes: Iterable[str]) -> None:
    there = set(outcomes)
    left = float(_GAP)
    for outcome, colour in COLOURS.items():
        if outcome in there:
            draw.rectangle((left, top + 2, left + 14, top + 16), fill=colour)
            draw.text((left + 20, top), outcome, fill="#222222", font=font_of(_LABEL_PX))
            left += 40 + draw.textlength(outcome, font=font_of(_LABEL_PX))


def _cut(draw: ImageDraw.ImageDraw, text: str, width: int) -> str:
    """The beginning of a title, as much as there is room for."""
    if draw.textlength(text, font=font_of(_TITLE_PX)) <= width:
        return text
    while text and draw.textlength(f"{text}…", font=font_of(_TITLE_PX)) > width:
        text = text[:-1]
    return f"{text}…"

"""Draw tracks on a frame: a box in the track's colour, labelled with number, class, confidence."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import supervision as sv
from numpy.typing import NDArray

PALETTE = sv.ColorPalette.DEFAULT


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


class Annotator:
    """Draws the tracks of one video, lines and text in proportion to its size."""

    def __init__(self, width: int, height: int) -> None:
        """`width` and `height` of the frames, in pixels."""
        self._size = (width, height)
        # Text of 0.45 (10 px capitals) is the smallest that stays sharp in cv2's line font.
        self._text_scale = max(0.45, min(width, height) / 1400)
        self._text_thickness = max(1, round(min(width, height) / 700))
        self._padding = max(3, round(min(width, height) / 180))
        self._boxes = sv.BoxAnnotator(
            color=PALETTE,
            thickness=max(2, round(min(width, height) / 300)),
            color_lookup=sv.ColorLookup.TRACK,
        )
        self._labels = sv.LabelAnnotator(
            color=PALETTE,
            text_color=sv.ColorPalette([text_colour(colour) for colour in PALETTE.colors]),
            color_lookup=sv.ColorLookup.TRACK,
            text_scale=self._text_scale,
            text_thickness=self._text_thickness,
            text_padding=self._padding,
        )

    def draw(
        self,
        image: NDArray[np.uint8],
        xyxy: NDArray[np.float32],
        tracks: NDArray[np.int32],
        classes: Sequence[str],
        confidence: NDArray[np.float32],
    ) -> NDArray[np.uint8]:
        """Draw on `image` itself, and return it.

        Args:
            image: uint8 (height, width, 3), BGR.
            xyxy: float32 (n, 4), corners in pixels of the image.
            tracks: int32 (n,), numbers of the tracks.
            classes: n names.
            confidence: float32 (n,), 0 to 1.
        """
        if len(tracks) == 0:
            return image
        labels = [
            f"#{track} {name} {score:.2f}"
            for track, name, score in zip(tracks, classes, confidence, strict=True)
        ]
        boxes = np.asarray(xyxy, np.float32)
        self._boxes.annotate(image, sv.Detections(boxes, tracker_id=np.asarray(tracks, int)))
        anchors = np.hstack([self._anchors(boxes, labels)] * 2)
        self._labels.annotate(
            image, sv.Detections(anchors, tracker_id=np.asarray(tracks, int)), labels=labels
        )
        return image

    def _anchors(self, xyxy: NDArray[np.float32], labels: list[str]) -> NDArray[np.float32]:
        """Lower left corners, float32 (n, 2), at which the labels lie inside the picture.

        That is the upper left corner of its box, unless a border is in the way.
        """
        sizes = np.array([self._label_size(label) for label in labels])
        width, height = self._size
        x = np.clip(xyxy[:, 0], 0, np.maximum(0, width - 1 - sizes[:, 0]))
        y = np.clip(xyxy[:, 1], sizes[:, 1], height - 1)
        return np.stack([x, y], axis=1).astype(np.float32)

    def _label_size(self, label: str) -> tuple[int, int]:
        (width, height), _ = cv2.getTextSize(
            label, cv2.FONT_HERSHEY_SIMPLEX, self._text_scale, self._text_thickness
        )
        return width + 2 * self._padding, height + 2 * self._padding

"""Actors laid over a backdrop, back to front, with an account of what of each still shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from demo.shading import Array, Light, Sprite, f32
from demo.truth import TruthBox

HALF = 0.5
"""The cover from which a pixel counts as part of a product."""


@dataclass(frozen=True)
class Shadow:
    """The dark that an object throws: `dark` (h, w) in 0..1, and the pixels from the middle of the
    object to the middle of the shadow."""

    dark: Array
    shift: tuple[float, float]


@dataclass(frozen=True)
class Actor:
    """Something that is laid over the backdrop.

    `path` (frames, 2) is the x, y of the sprite's middle in pixels of the frame; NaN where the
    actor is not there.
    """

    sprite: Sprite
    shadow: Shadow
    path: Array


@dataclass(frozen=True)
class Product(Actor):
    """An actor that the truth tells of."""

    id: int
    class_id: int


@dataclass
class _Shown:
    """What of a product is still uncovered: `alpha` at `left`, `top` of the frame, of `whole`."""

    product: Product
    alpha: Array
    left: int
    top: int
    whole: float


def shadow_of(sprite: Sprite, light: Light, reach_px: float, strength: float) -> Shadow:
    """The soft shadow of an object `reach_px` high, with the darker line where it touches down."""
    margin = math.ceil(reach_px) + 4
    solid = np.pad(sprite.alpha, margin)
    wide = cv2.GaussianBlur(solid, (0, 0), max(1.0, reach_px * 0.45))
    tight = cv2.GaussianBlur(solid, (0, 0), max(1.0, reach_px * 0.14))
    x, y, z = light.direction
    dark = f32(np.maximum(0.75 * wide, 0.55 * tight) * strength)
    return Shadow(dark, (-x / z * reach_px * 0.5, -y / z * reach_px * 0.5))


def composite(frame: Array, actors: tuple[Actor, ...], at: int) -> list[TruthBox]:
    """Lay every actor over `frame` (H, W, 3), in place, and tell which products show and where."""
    shown: list[_Shown] = []
    for actor in actors:
        x, y = (float(part) for part in actor.path[at])
        if math.isnan(x):
            continue
        _darken(frame, actor.shadow, x, y)
        placed, left, top = _shifted(actor.sprite.bgra, x, y)
        cut = _overlap(frame.shape[:2], placed.shape[:2], left, top)
        if cut is None:
            continue
        into, part = cut
        bgra = placed[part]
        alpha = bgra[..., 3]
        under = frame[into]
        under *= 1 - alpha[..., None]
        under += bgra[..., :3]
        left, top = into[1].start, into[0].start
        for behind in shown:
            _cover(behind, alpha, left, top)
        if isinstance(actor, Product):
            shown.append(_Shown(actor, alpha.copy(), left, top, float(actor.sprite.alpha.sum())))
    return [_box(found) for found in shown if (found.alpha >= HALF).any()]


def _shifted(image: Array, x: float, y: float) -> tuple[Array, int, int]:
    """`image` moved by the part of a pixel that puts its middle at x, y; its left and its top."""
    height, width = image.shape[:2]
    left, top = math.floor(x - width / 2), math.floor(y - height / 2)
    dx, dy = x - width / 2 - left, y - height / 2 - top
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    moved = cv2.warpAffine(image, matrix, (width + 1, height + 1), flags=cv2.INTER_LINEAR)
    return f32(moved), left, top


def _overlap(
    frame: tuple[int, ...], image: tuple[int, ...], left: int, top: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """The part of the frame that an image at left, top falls on, and which part of it does.

    None where the image lies outside the frame.
    """
    y1, y2 = max(0, top), min(frame[0], top + image[0])
    x1, x2 = max(0, left), min(frame[1], left + image[1])
    if y1 >= y2 or x1 >= x2:
        return None
    into = (slice(y1, y2), slice(x1, x2))
    return into, (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))


def _darken(frame: Array, shadow: Shadow, x: float, y: float) -> None:
    """Take the shadow's share of light from the frame, in place; whole pixels are fine enough."""
    height, width = shadow.dark.shape
    left, top = round(x + shadow.shift[0] - width / 2), round(y + shadow.shift[1] - height / 2)
    cut = _overlap(frame.shape[:2], shadow.dark.shape, left, top)
    if cut is not None:
        frame[cut[0]] *= 1 - shadow.dark[cut[1]][..., None]


def _cover(behind: _Shown, alpha: Array, left: int, top: int) -> None:
    """Let `alpha`, at left, top of the frame, hide what it covers of a product, in place."""
    cut = _overlap(behind.alpha.shape, alpha.shape, left - behind.left, top - behind.top)
    if cut is not None:
        behind.alpha[cut[0]] *= 1 - alpha[cut[1]]


def _box(found: _Shown) -> TruthBox:
    solid = found.alpha >= HALF
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    xyxy = (
        found.left + int(columns[0]),
        found.top + int(rows[0]),
        found.left + int(columns[-1]) + 1,
        found.top + int(rows[-1]) + 1,
    )
    visible = min(1.0, float(found.alpha.sum()) / found.whole)
    return TruthBox(found.product.id, found.product.class_id, xyxy, round(visible, 4))

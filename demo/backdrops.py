"""What lies behind the products: a moving checkout belt, or shelves with their price tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from demo.shading import Array, bgr, f32, mix, smoothstep

BELT_TOP, BELT_BOTTOM = 0.16, 0.87
"""Where the belt begins and ends, as shares of the frame's height."""


class Backdrop(Protocol):
    """Anything that can give the scene behind the products."""

    def at(self, frame: int, /) -> Array:
        """A fresh (H, W, 3) image of BGR in 0..255 for this frame."""
        ...


@dataclass(frozen=True)
class Still:
    """A backdrop that never changes."""

    image: Array

    def at(self, _frame: int, /) -> Array:
        """The same image whatever the frame."""
        return self.image.copy()


@dataclass(frozen=True)
class Belt:
    """A still counter with an endless strip of rubber running through it.

    `strip` (h, period, 3) covers the rows from `top` on, and has moved `travel[frame]` pixels to
    the right since frame 0.
    """

    image: Array
    strip: Array
    top: int
    travel: Array

    def at(self, frame: int, /) -> Array:
        """The counter with the strip where it is at this frame, to a fraction of a pixel."""
        image = self.image.copy()
        height, period = self.strip.shape[:2]
        width = image.shape[1]
        start = -float(self.travel[frame]) % period
        whole, part = int(start), start - int(start)
        columns = np.arange(whole, whole + width + 1) % period
        shown = self.strip[:, columns]
        image[self.top : self.top + height] = cv2.addWeighted(
            shown[:, :-1], 1 - part, shown[:, 1:], part, 0
        )
        return image


def draw_belt(width: int, height: int, travel: Array, rng: np.random.Generator) -> Belt:
    """A checkout belt between two steel rails."""
    image = _counter(width, height, rng)
    top, bottom = round(height * BELT_TOP), round(height * BELT_BOTTOM)
    rail = max(4, round(height * 0.045))
    _lay_rail(image, top - rail, rail, rng)
    _lay_rail(image, bottom, rail, rng)
    strip = _rubber(round(width * 1.7), bottom - top, height, rng)
    # The rails shade the first centimetres of rubber.
    depth = np.arange(bottom - top, dtype=np.float32) / height
    shade = 1 - 0.55 * np.exp(-depth / 0.018) - 0.25 * np.exp(-(depth[::-1]) / 0.012)
    return Belt(image, f32(strip * shade[:, None, None]), top, travel)


def draw_shelves(width: int, height: int, floors: list[int], rng: np.random.Generator) -> Still:
    """Shelves whose boards are topped at the pixel rows `floors`, from top to bottom."""
    panel = (bgr(206, 204, 198), bgr(182, 170, 150), bgr(120, 124, 130), bgr(222, 226, 230))
    colour = panel[rng.integers(len(panel))] * np.float32(rng.uniform(0.75, 1.0))
    image = np.broadcast_to(colour * 255, (height, width, 3)).astype(np.float32)
    image *= 1 + 0.02 * _tiling(rng, height, width, height / 60)[..., None]
    _punch_holes(image, height)
    board = (bgr(196, 200, 204), bgr(150, 108, 66), bgr(70, 72, 76))[rng.integers(3)]
    ceiling = 0
    for floor in floors:
        _shade_bay(image, ceiling, floor)
        ceiling = _lay_board(image, floor, board, rng)
    image[ceiling:] *= np.float32(0.35)
    return Still(image)


def _tiling(rng: np.random.Generator, height: int, width: int, blur_px: float) -> Array:
    """Noise of deviation 1 that joins up with itself left to right, (height, width)."""
    margin = int(4 * blur_px) + 1
    table = rng.normal(0, 1, (height, width)).astype(np.float32)
    wrapped = np.concatenate([table[:, -margin:], table, table[:, :margin]], axis=1)
    smooth = cv2.GaussianBlur(wrapped, (0, 0), max(0.3, blur_px))[:, margin:-margin]
    return f32(smooth / max(1e-6, float(smooth.std())))


def _counter(width: int, height: int, rng: np.random.Generator) -> Array:
    """The laminate on both sides of the belt."""
    tops = (bgr(198, 196, 190), bgr(150, 156, 164), bgr(176, 140, 100), bgr(90, 96, 104))
    colour = tops[rng.integers(len(tops))]
    image = np.broadcast_to(colour * 255, (height, width, 3)).astype(np.float32)
    image *= 1 + 0.035 * _tiling(rng, height, width, height / 500)[..., None]
    image *= 1 + 0.05 * _tiling(rng, height, width, height / 12)[..., None]
    return image


def _lay_rail(image: Array, top: int, thickness: int, rng: np.random.Generator) -> None:
    """A brushed steel rail across the whole width, in place."""
    width = image.shape[1]
    across = np.linspace(0, np.pi, thickness, dtype=np.float32)
    profile = 88 + 130 * np.sin(across) ** 2 * np.linspace(1.0, 0.55, thickness, dtype=np.float32)
    brushed = 1 + 0.05 * np.repeat(rng.normal(0, 1, (thickness, 1)), width, axis=1)
    sheen = 1 + 0.12 * np.sin(np.linspace(0, 7, width) + rng.uniform(0, 6))
    steel = profile[:, None] * brushed * sheen
    image[top : top + thickness] = steel[..., None] * f32([1.02, 1.0, 0.98])
    foot = image[top + thickness : top + 2 * thickness]
    fade = np.linspace(0.6, 1, foot.shape[0], dtype=np.float32)
    foot *= fade[:, None, None]


def _rubber(period: int, rows: int, height: int, rng: np.random.Generator) -> Array:
    """A loop of belt: woven, scuffed, with a seam or two, (rows, period, 3)."""
    rubbers = (bgr(44, 45, 48), bgr(58, 62, 66), bgr(40, 54, 50), bgr(46, 50, 66), bgr(86, 88, 90))
    colour = rubbers[rng.integers(len(rubbers))] * 255
    light = 1 + 0.06 * _tiling(rng, rows, period, height / 700)
    light += 0.05 * _tiling(rng, rows, period, height / 20)
    x, y = np.meshgrid(np.arange(period, dtype=np.float32), np.arange(rows, dtype=np.float32))
    pitch = max(3.0, height / 72)
    turns = round(period / pitch)
    light += 0.035 * np.sin(2 * np.pi * (x * turns / period + y / pitch))
    light += 0.035 * np.sin(2 * np.pi * (x * turns / period - y / pitch))
    scuffs = _tiling(rng, rows, period, height / 160)
    light += 0.22 * smoothstep(2.1, 3.0, scuffs)
    for _ in range(int(rng.integers(1, 3))):
        seam = (x - rng.uniform(0, period) - 0.25 * y + period / 2) % period - period / 2
        light += 0.35 * np.exp(-((seam / (height / 240)) ** 2))
        light -= 0.35 * np.exp(-(((seam - height / 90) / (height / 200)) ** 2))
    return f32(colour * light[..., None])


def _punch_holes(image: Array, height: int) -> None:
    """The rows of slots in a shelf's back panel, in place."""
    pitch, size = max(8, height // 20), max(1, height // 180)
    for row in range(pitch // 2, image.shape[0], pitch):
        for column in range(pitch // 2, image.shape[1], pitch):
            image[row : row + 2 * size, column : column + size] *= np.float32(0.8)


def _shade_bay(image: Array, ceiling: int, floor: int) -> None:
    """The dark under the board above, and the light that the board below throws back, in place."""
    depth = np.linspace(0, 1, floor - ceiling, dtype=np.float32)
    shade = 0.42 + 0.5 * np.sqrt(depth) - 0.12 * np.exp(-(1 - depth) / 0.05)
    image[ceiling:floor] *= shade[:, None, None]


def _lay_board(image: Array, floor: int, colour: Array, rng: np.random.Generator) -> int:
    """A board with a lip and price tags below the row `floor`, in place; returns where it ends."""
    height, width = image.shape[:2]
    deep, lip = max(3, height // 40), max(8, height // 17)
    end = min(height, floor + lip)
    plank = np.linspace(0.45, 0.95, deep, dtype=np.float32)[:, None, None] * colour * 230
    image[floor - deep : floor] = plank
    face = np.linspace(1.0, 0.72, lip, dtype=np.float32)[: end - floor, None, None]
    image[floor:end] = face * colour * 255
    image[floor : floor + max(1, height // 240)] = np.clip(colour * 255 * 1.25, 0, 255)
    tag_width, at = height // 9, int(rng.integers(0, height // 6))
    while at + tag_width < width:
        _stick_tag(image[floor + lip // 5 : end - lip // 8, at : at + tag_width], rng)
        at += tag_width + int(rng.integers(height // 10, height // 3))
    return end


def _stick_tag(tag: Array, rng: np.random.Generator) -> None:
    """A price tag with a few lines of print, painted over the image part it is given."""
    paper = bgr(244, 208, 60) if rng.random() < 0.25 else bgr(240, 240, 236)
    rows, columns = tag.shape[:2]
    u = np.linspace(0, 1, columns, dtype=np.float32)[None, :].repeat(rows, axis=0)
    v = np.linspace(0, 1, rows, dtype=np.float32)[:, None].repeat(columns, axis=1)
    bars = rng.random(columns) < 0.55
    print_left = (u > 0.07) & (u < 0.45) & (np.abs(v - 0.3) < 0.1)
    code = (u > 0.07) & (u < 0.45) & (v > 0.55) & (v < 0.88) & bars[None, :]
    price = (u > 0.55) & (u < 0.92) & (v > 0.2) & (v < 0.8) & (rng.random(columns) < 0.7)[None, :]
    ink = f32(print_left | code | price) * np.float32(0.85)
    tag[:] = mix(paper * 255, bgr(40, 40, 44) * 255, ink)

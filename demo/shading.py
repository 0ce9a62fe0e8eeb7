"""Light falling on a height field, turned into a sprite with alpha.

Every object of a scene is a `Surface`: how high it stands over the image plane at each point, what
colour it is there, and where it ends. One shader lights them all, so that a belt full of products
agrees about where the lamp is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SUPERSAMPLING = 2
"""Samples per screen pixel along each axis while a sprite is drawn."""

_GAMMA = 2.2

_CREVICE = 0.045
"""How deep and wide, in object units, a dent has to be for its bottom to be dark."""


@dataclass(frozen=True)
class Light:
    """A lamp far away.

    `direction` points from the object to the lamp in screen axes (x right, y down, z to the camera)
    and has length 1; `tint` is its colour as BGR factors around 1; `ambient` is the share of light
    that comes from everywhere.
    """

    direction: tuple[float, float, float]
    tint: tuple[float, float, float]
    ambient: float

    @staticmethod
    def drawn(rng: np.random.Generator) -> Light:
        """A ceiling lamp up and to one side, from warm to cold."""
        towards = np.array([rng.uniform(-0.75, 0.75), rng.uniform(-0.95, -0.35), 1.0])
        towards /= np.linalg.norm(towards)
        warmth = rng.uniform(-0.07, 0.07)
        power = rng.uniform(0.88, 1.12)
        tint = (power * (1 - warmth), power, power * (1 + warmth))
        x, y, z = (float(part) for part in towards)
        return Light((x, y, z), tint, float(rng.uniform(0.30, 0.42)))


@dataclass(frozen=True)
class Surface:
    """An object before it is lit, sampled on a grid of h x w points.

    `height` (h, w) is in object units, `albedo` (h, w, 3) is BGR in 0..1 as a display shows it,
    `mask` (h, w) is where the object is, `gloss` is the strength of the highlight and `polish` how
    tight it is.
    """

    height: Array
    albedo: Array
    mask: Mask
    gloss: float
    polish: float


@dataclass(frozen=True)
class Sprite:
    """A lit object, ready to be laid over a frame.

    `bgra` (h, w, 4) is BGR in 0..255 multiplied by the alpha in the last channel, which is 0..1.
    The crop is tight, so that the middle of the sprite is the middle of the object's box.
    """

    bgra: Array

    @property
    def alpha(self) -> Array:
        """How much of each pixel the object covers, (h, w) in 0..1."""
        return self.bgra[..., 3]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.bgra.shape[1], self.bgra.shape[0]


@dataclass(frozen=True)
class Grid:
    """The points at which an object is sampled, in the object's own turned axes.

    `u` runs along the object to the right and `v` down, both in object units, (n, n); `step` is the
    distance between neighbouring samples.
    """

    u: Array
    v: Array
    step: float

    @staticmethod
    def over(unit_px: float, extent: float, angle: float) -> Grid:
        """A grid covering ±`extent` object units of `unit_px` pixels, turned by `angle` radians."""
        samples = max(8, round(2 * extent * unit_px * SUPERSAMPLING))
        samples += -samples % SUPERSAMPLING
        axis = (np.arange(samples, dtype=np.float32) + 0.5) / samples * 2 - 1
        x, y = np.meshgrid(axis * np.float32(extent), axis * np.float32(extent))
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return Grid(cosine * x + sine * y, cosine * y - sine * x, 2 * extent / samples)


def noise(rng: np.random.Generator, u: Array, v: Array, cells: tuple[float, float]) -> Array:
    """Smooth random values in about -1..1, with `cells` bumps per object unit along u and v."""
    reach = 2.0
    width, height = (max(4, int(2 * reach * per_unit)) for per_unit in cells)
    table = rng.uniform(-1.0, 1.0, (height, width)).astype(np.float32)
    columns = (u + np.float32(reach)) / np.float32(2 * reach) * np.float32(width - 1)
    rows = (v + np.float32(reach)) / np.float32(2 * reach) * np.float32(height - 1)
    sampled = cv2.remap(table, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(sampled, np.float32)


def fractal(rng: np.random.Generator, u: Array, v: Array, cells: tuple[float, float]) -> Array:
    """Three octaves of `noise`."""
    total = np.zeros_like(u)
    for octave in range(3):
        scale = 2.0**octave
        total += noise(rng, u, v, (cells[0] * scale, cells[1] * scale)) / np.float32(scale)
    return total / np.float32(1.75)


def f32(values: object) -> Array:
    """The same numbers in the one precision that drawing uses."""
    return np.asarray(values, np.float32)


def dome(inside: Array) -> Array:
    """The height of a rounded body, from a value that is 1 at its middle and 0 at its outline."""
    return f32(np.sqrt(np.clip(inside, 0, None)))


def from_segment(
    grid: Grid, start: tuple[float, float], end: tuple[float, float]
) -> tuple[Array, Array]:
    """How far every sample lies from a line segment, and at which share 0..1 of it, both (n, n)."""
    along = f32(end) - f32(start)
    pu, pv = grid.u - np.float32(start[0]), grid.v - np.float32(start[1])
    share = np.clip((pu * along[0] + pv * along[1]) / np.float32(along @ along), 0, 1)
    return f32(np.hypot(pu - share * along[0], pv - share * along[1])), f32(share)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below `low`, 1 above `high`, and a soft ramp between."""
    ramp = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def mix(first: Array, second: Array, share: Array) -> Array:
    """`first` where `share` (...) is 0, `second` where it is 1; colours are (3,) or (..., 3)."""
    mixed = np.empty((*share.shape, 3), np.float32)
    for channel in range(3):  # numpy is several times slower on rows of three
        low = first[..., channel]
        mixed[..., channel] = low + (second[..., channel] - low) * share
    return mixed


def bgr(red: float, green: float, blue: float) -> Array:
    """A colour given as 0..255 red, green, blue, as the (3,) BGR in 0..1 that albedos use."""
    return np.array([blue, green, red], np.float32) / np.float32(255)


def light_surface(surface: Surface, step: float, light: Light) -> Array:
    """The lit colours (h, w, 3), BGR in 0..255; points outside the mask have no meaning."""
    by_row, by_column = np.gradient(surface.height, step)
    length = np.sqrt(by_column**2 + by_row**2 + 1)
    lx, ly, lz = light.direction
    lambert = (lz - lx * by_column - ly * by_row) / length
    wrapped = np.clip((lambert + 0.25) / 1.25, 0, None)

    # Points lower than their surroundings see less of the room.
    around = cv2.GaussianBlur(surface.height, (0, 0), max(1.0, _CREVICE / step))
    sunk = np.clip((around - surface.height) / np.float32(_CREVICE), 0, 1)
    open_sky = (1 - 0.55 * sunk) * (0.55 + 0.45 / length)

    half = np.array([lx, ly, lz + 1.0]) / np.linalg.norm([lx, ly, lz + 1.0])
    facing = np.clip((half[2] - half[0] * by_column - half[1] * by_row) / length, 0, 1)
    shine = surface.gloss * facing**surface.polish

    base = np.clip(surface.albedo, 0, 1) ** np.float32(_GAMMA)
    energy = light.ambient * open_sky + (1 - light.ambient) * 1.15 * wrapped * (1 - 0.35 * sunk)
    lit = base * energy[..., None] + shine[..., None]
    lit = lit * np.array(light.tint, np.float32)
    return np.asarray(np.clip(lit, 0, 1) ** (1 / _GAMMA) * 255, np.float32)


def sprite_of(surface: Surface, step: float, light: Light) -> Sprite:
    """The lit object, averaged down to screen pixels and cropped to what shows."""
    surface = _cropped(surface)
    coverage = surface.mask.astype(np.float32)[..., None]
    lit = np.concatenate([light_surface(surface, step, light) * coverage, coverage], axis=2)
    size = (coverage.shape[1] // SUPERSAMPLING, coverage.shape[0] // SUPERSAMPLING)
    return Sprite(f32(cv2.resize(lit, size, interpolation=cv2.INTER_AREA)))


def _cropped(surface: Surface) -> Surface:
    """The part of the grid that the object covers, cut between screen pixels."""
    rows = np.flatnonzero(surface.mask.any(axis=1)) // SUPERSAMPLING
    columns = np.flatnonzero(surface.mask.any(axis=0)) // SUPERSAMPLING
    part = np.s_[
        rows[0] * SUPERSAMPLING : (rows[-1] + 1) * SUPERSAMPLING,
        columns[0] * SUPERSAMPLING : (columns[-1] + 1) * SUPERSAMPLING,
    ]
    return replace(
        surface, height=surface.height[part], albedo=surface.albedo[part], mask=surface.mask[part]
    )

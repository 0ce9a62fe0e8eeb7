"""The six products of the shop, each drawn afresh with its own colour, shape and turn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from demo.shading import (
    Array,
    Grid,
    Light,
    Mask,
    Sprite,
    Surface,
    bgr,
    dome,
    f32,
    fractal,
    from_segment,
    mix,
    noise,
    smoothstep,
    sprite_of,
)

CLASSES = ("apple", "banana", "grape", "orange", "pineapple", "watermelon")
"""Class names; a product's class id is its place here."""

LENGTHS = {
    "apple": (0.155, 0.205),
    "banana": (0.280, 0.370),
    "grape": (0.230, 0.310),
    "orange": (0.160, 0.210),
    "pineapple": (0.370, 0.470),
    "watermelon": (0.300, 0.410),
}
"""Shortest and longest a product gets along its own long axis, as a share of the frame's height."""

_EXTENT = 1.15


def draw_product(
    name: str, length_px: float, angle: float, light: Light, rng: np.random.Generator
) -> Sprite:
    """A new instance of a class, about `length_px` long, turned clockwise by `angle` radians.

    At angle 0 it stands upright: stems, crowns and bunches hang or point as on a shelf.
    """
    grid = Grid.over(length_px / 2, _EXTENT, angle)
    return sprite_of(_SURFACES[name](grid, rng), grid.step, light)


def _tinted(colour: Array, rng: np.random.Generator, spread: float = 0.06) -> Array:
    """The same colour, a little off in each channel."""
    return np.asarray(np.clip(colour + rng.normal(0, spread / 2, 3), 0, 1), np.float32)


def _apple(grid: Grid, rng: np.random.Generator) -> Surface:
    wide = np.float32(rng.uniform(0.94, 1.03))
    x, y = grid.u / wide, grid.v - 0.08
    angle = np.arctan2(x, -y)  # 0 at the stem, pi at the foot
    outline = 0.90 * (
        1
        + 0.05 * np.cos(angle)
        - 0.13 * np.exp(-((angle / 0.40) ** 2))
        - 0.07 * np.exp(-(((np.pi - np.abs(angle)) / 0.30) ** 2))
    )
    radius = np.hypot(x, y)
    body = radius < outline
    height = 0.85 * dome(1 - (radius / outline) ** 2)
    height -= 0.42 * np.exp(-((x / 0.26) ** 2) - ((y + 0.66) / 0.13) ** 2)

    green = rng.random() < 0.2
    skin = bgr(150, 185, 60) if green else bgr(196, rng.uniform(22, 50), 38)
    blush = bgr(196, 205, 90) if green else bgr(232, 176, 70)
    streaks = fractal(rng, angle * 1.2, radius * 0.4, (7, 2))
    patch = noise(rng, x, y, (1.2, 1.2))
    share = smoothstep(0.05, 1.1, patch * 0.8 + streaks * 0.5 + np.float32(rng.uniform(0, 0.25)))
    albedo = mix(_tinted(skin, rng), _tinted(blush, rng), share * np.float32(0.85))
    hollow = np.exp(-((x / 0.24) ** 2) - ((y + 0.66) / 0.16) ** 2).astype(np.float32)
    albedo = mix(albedo, bgr(150, 150, 60), hollow * np.float32(0.7))
    freckles = smoothstep(0.72, 0.9, noise(rng, x, y, (15, 15)))
    albedo = mix(albedo, bgr(240, 210, 150), freckles * np.float32(0.3))

    lean = rng.uniform(-0.14, 0.14)
    stem_distance, _ = from_segment(grid, (0.0, -0.55), (lean, -1.0))
    stem = stem_distance < 0.055
    albedo = np.where(stem[..., None], bgr(92, 62, 34), albedo)
    height = np.where(stem, 0.5 + dome(0.055**2 - stem_distance**2), height * body)
    if rng.random() < 0.35:
        lu, lv = grid.u - np.float32(lean) - 0.2, grid.v + 0.86
        across = lv + 0.35 * lu
        leaf = (np.abs(across) < 0.12 * np.sqrt(np.clip(1 - (lu / 0.24) ** 2, 0, 1))) & (
            np.abs(lu) < 0.24
        )
        vein = smoothstep(0.0, 0.03, np.abs(across))
        albedo = np.where(leaf[..., None], mix(bgr(130, 170, 70), bgr(66, 122, 38), vein), albedo)
        height = np.where(leaf, 0.6 + 0.25 * np.abs(across), height)
        stem = stem | leaf
    return Surface(f32(height), f32(albedo), body | stem, gloss=0.55, polish=38)


def _orange(grid: Grid, rng: np.random.Generator) -> Surface:
    squash = np.float32(rng.uniform(0.93, 1.0))
    x, y = grid.u / 0.94, grid.v / (0.94 * squash)
    inside = 1 - x**2 - y**2
    pits = smoothstep(0.1, 0.7, noise(rng, x, y, (13, 13)))
    height = 0.92 * dome(inside) - 0.012 * pits
    peel = _tinted(bgr(240, rng.uniform(118, 148), 22), rng, 0.04)
    blotch = fractal(rng, x, y, (1.5, 1.5))
    albedo = mix(peel, _tinted(bgr(248, 166, 48), rng), smoothstep(-0.2, 0.9, blotch))
    albedo = mix(albedo, peel * np.float32(0.78), pits * np.float32(0.45))
    at = rng.uniform(-0.45, 0.45, 2)
    du, dv = x - np.float32(at[0]), y - np.float32(at[1])
    star = np.hypot(du, dv) * (1 + 0.3 * np.cos(5 * np.arctan2(dv, du)))
    button = 1 - smoothstep(0.08, 0.13, f32(star))
    height -= 0.05 * np.exp(-((du**2 + dv**2) / 0.03))
    albedo = mix(albedo, bgr(96, 108, 40), button)
    return Surface(f32(height), albedo, inside > 0, gloss=0.22, polish=16)


def _watermelon(grid: Grid, rng: np.random.Generator) -> Surface:
    b = np.float32(rng.uniform(0.68, 0.86))
    x, y = grid.u / 0.98, grid.v / (0.98 * b)
    inside = 1 - x**2 - y**2
    height = 0.75 * b * dome(inside)
    meridian = np.arcsin(np.clip(y / np.sqrt(np.clip(1 - x**2, 1e-3, 1)), -1, 1))
    count = rng.uniform(8.0, 11.0)
    wobble = 0.55 * fractal(rng, x, y, (4, 7)) + 0.25 * noise(rng, x, y, (14, 10))
    wave = np.sin(meridian * count + rng.uniform(0, 2 * np.pi) + wobble * 2.0)
    stripe = smoothstep(-0.35, 0.35, f32(wave + 0.25 * noise(rng, x, y, (9, 9))))
    pale = _tinted(bgr(150, 180, 92), rng)
    dark = _tinted(bgr(26, rng.uniform(62, 88), 34), rng, 0.04)
    mottled = mix(pale, pale * np.float32(0.72), smoothstep(0, 0.8, fractal(rng, x, y, (10, 12))))
    albedo = mix(mottled, dark, stripe)
    tip = np.exp(-(((np.abs(x) - 1) / 0.06) ** 2) - (y / 0.12) ** 2).astype(np.float32)
    albedo = mix(albedo, bgr(140, 130, 70), tip)
    return Surface(f32(height), albedo, inside > 0, gloss=0.30, polish=22)


def _grape(grid: Grid, rng: np.random.Generator) -> Surface:
    red = rng.random() < 0.65
    colour = bgr(92, 34, 92) if red else bgr(150, 176, 66)
    colour = _tinted(colour, rng, 0.08)
    height = np.full(grid.u.shape, -1, np.float32)
    albedo = np.zeros((*grid.u.shape, 3), np.float32)
    berry = rng.uniform(0.155, 0.185)
    for cu, cv, cz in _berries(berry, rng):
        size = berry * rng.uniform(0.92, 1.1)
        inside = size**2 - (grid.u - cu) ** 2 - ((grid.v - cv) / 1.08) ** 2
        top = cz + dome(inside)
        nearer = (inside > 0) & (top > height)
        own = colour * np.float32(rng.uniform(0.8, 1.25)) + f32(rng.normal(0, 0.015, 3))
        bloom = np.clip(1 - np.sqrt(np.clip(inside, 0, None)) / size, 0, 1) ** 2 * 0.28
        skin = mix(own, bgr(196, 190, 215) if red else bgr(216, 226, 170), f32(bloom))
        albedo[nearer] = skin[nearer]
        height[nearer] = top[nearer]
    bunch = height > -1
    stem_distance = np.minimum(
        from_segment(grid, (0, -0.55), (0.02, -0.98))[0],
        from_segment(grid, (-0.16, -0.95), (0.2, -0.92))[0],
    )
    stem = (stem_distance < 0.045) & ~bunch
    albedo[stem] = bgr(118, 116, 56)
    height = np.where(bunch, height, np.where(stem, -0.1 + dome(0.045**2 - stem_distance**2), -0.3))
    return Surface(f32(height), albedo, bunch | stem, gloss=0.5, polish=30)


def _berries(berry: float, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Where the berries of one bunch sit: u, v and depth, in a cone that narrows downwards."""
    places: list[tuple[float, float, float]] = []
    shoulder = rng.uniform(0.5, 0.62)
    for layer in range(2):
        for v in np.arange(-0.62, 0.86, berry * 1.45):
            share = (v + 0.62) / 1.48
            half = shoulder * (1 - share**1.6) + 0.03
            if layer == 1:
                half *= 0.62
            count = max(1, round(2 * half / (berry * 1.55)))
            for place in range(count):
                u = (place - (count - 1) / 2) * berry * 1.6 + rng.normal(0, berry * 0.16)
                depth = 0.22 * layer - 0.16 * (u / max(half, 0.1)) ** 2 + rng.normal(0, 0.03)
                places.append((float(u), float(v + rng.normal(0, berry * 0.14)), float(depth)))
    return places


def _banana(grid: Grid, rng: np.random.Generator) -> Surface:
    height = np.full(grid.u.shape, -1, np.float32)
    albedo = np.zeros((*grid.u.shape, 3), np.float32)
    ripe = rng.uniform(0, 1)
    count = int(rng.choice([1, 2, 3], p=[0.4, 0.3, 0.3]))
    for place in range(count):
        fan = (place - (count - 1) / 2) * 0.2
        own_height, own_albedo = _one_banana(grid, fan, ripe, rng)
        own_height = own_height + np.where(own_height > 0, np.float32(0.05 * place), 0)
        nearer = own_height > np.maximum(height, 0)
        height[nearer] = own_height[nearer]
        albedo[nearer] = own_albedo[nearer]
    mask = height > 0
    return Surface(np.maximum(height, 0), albedo, mask, gloss=0.16, polish=14)


def _one_banana(
    grid: Grid, fan: float, ripe: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Height and albedo of one banana, turned by `fan` radians about the stem of its hand."""
    reach, bend = 0.84, 1.12
    pivot_u, pivot_v = -bend * np.sin(reach), -0.24
    du, dv = grid.u - pivot_u, grid.v - pivot_v
    u = np.cos(fan) * du + np.sin(fan) * dv + pivot_u
    v = np.cos(fan) * dv - np.sin(fan) * du + pivot_v
    centre_v = -0.24 - bend * np.cos(reach)
    along = f32(np.arctan2(u, v - centre_v) / reach)  # -1 at the stem, 1 at the tip
    across = f32(np.hypot(u, v - centre_v) - bend)
    belly = np.clip(1 - np.abs((along + 0.02) / 0.93) ** 3.2, 0, 1) ** 0.75
    plump = rng.uniform(0.165, 0.195)
    half = f32(plump * belly)
    neck = (along < -0.72) & (along > -1.06)
    half = np.where(neck, np.maximum(half, 0.052), half)
    end = (along > 0.8) & (along < 0.97)
    half = np.where(end, np.maximum(half, 0.036), half)
    side = across / np.maximum(half, 1e-4)
    # Two soft edges run the length of the fruit, as on a real one.
    profile = dome(f32(1 - side**2)) - 0.10 * np.exp(-(((np.abs(side + 0.05) - 0.42) / 0.2) ** 2))
    height = np.where((half > 0) & (np.abs(side) < 1), 0.02 + half * np.clip(profile, 0, 1), 0)
    yellow = _tinted(bgr(240, 200, 52), rng, 0.05)
    pale = bgr(250, 222, 110)
    green = bgr(150, 170, 50)
    albedo = mix(yellow, pale, smoothstep(-0.2, 0.9, fractal(rng, u, v, (2, 3))) * np.float32(0.6))
    ends = smoothstep(0.55, 1.0, np.abs(along)) * np.float32(0.75 * (1 - ripe) + 0.15)
    albedo = mix(albedo, green, ends)
    edge = np.exp(-(((np.abs(side + 0.05) - 0.42) / 0.09) ** 2))
    albedo = mix(albedo, bgr(176, 132, 30), f32(edge * 0.28))
    spots = smoothstep(0.62 - 0.2 * ripe, 0.85, noise(rng, u, v, (11, 14)))
    albedo = mix(albedo, bgr(104, 66, 26), spots * np.float32(0.75 * ripe))
    tip = smoothstep(0.86, 0.93, along) + smoothstep(-0.97, -1.02, along)
    albedo = mix(albedo, bgr(62, 46, 28), np.clip(tip, 0, 1))
    return f32(height), albedo


def _pineapple(grid: Grid, rng: np.random.Generator) -> Surface:
    half_u, half_v, middle = rng.uniform(0.37, 0.42), 0.60, 0.36
    x, y = grid.u / half_u, (grid.v - middle) / half_v
    inside = 1 - np.abs(x) ** 2.2 - np.abs(y) ** 2.4
    round_u = np.arcsin(np.clip(x / np.sqrt(np.clip(1 - np.abs(y) ** 2.4, 0.05, 1)), -1, 1))
    p = round_u * 1.75 + y * 3.0
    q = round_u * 1.75 - y * 3.0
    fp, fq = p - np.floor(p) - 0.5, q - np.floor(q) - 0.5
    rim = f32(2 * np.maximum(np.abs(fp), np.abs(fq)))
    swell = 1 - rim**3
    height = half_u * dome(f32(inside)) + 0.045 * swell
    ripe = _tinted(bgr(206, 146, 44), rng, 0.08)
    raw = _tinted(bgr(126, 122, 46), rng, 0.06)
    share = smoothstep(-0.9, 0.8, f32(-y * 0.8 + noise(rng, grid.u, grid.v, (2, 2)) * 0.5))
    albedo = mix(ripe, raw, share * np.float32(rng.uniform(0.3, 0.9)))
    albedo = mix(albedo, bgr(82, 56, 24), smoothstep(0.68, 0.98, rim))
    eye = 1 - smoothstep(0.10, 0.22, f32(np.hypot(fp, fq)))
    albedo = mix(albedo, bgr(88, 62, 34), eye * np.float32(0.8))
    mask = inside > 0
    height, albedo, mask = _crown(grid, f32(height), albedo, mask, rng)
    return Surface(height, albedo, mask, gloss=0.10, polish=12)


def _crown(
    grid: Grid, height: Array, albedo: Array, mask: Mask, rng: np.random.Generator
) -> tuple[Array, Array, Mask]:
    """The pineapple with its leaves laid over it, the outer ones first."""
    height, albedo, mask = height.copy(), albedo.copy(), mask.copy()
    leaves = 19
    for place in range(leaves):
        inner = place / (leaves - 1)
        lean = (1 if place % 2 else -1) * (1.05 * (1 - inner) + 0.04) + rng.normal(0, 0.06)
        length = rng.uniform(0.5, 0.62) + 0.22 * inner - (0.26 if inner > 0.8 else 0.0)
        du, dv = grid.u - np.float32(0.10 * np.sin(lean)), grid.v + 0.16
        along = (du * np.sin(lean) - dv * np.cos(lean)) / length
        across = du * np.cos(lean) + dv * np.sin(lean)
        across = across - np.sign(lean) * 0.22 * length * along**2 * abs(lean)
        width = 0.085 * np.clip(1 - along, 0, 1) ** 0.8 * np.clip(along + 0.25, 0, 0.5) / 0.5
        leaf = (along > 0) & (along < 1) & (np.abs(across) < width)
        t, side = f32(along[leaf]), f32(across[leaf] / width[leaf])
        green = _tinted(bgr(64, 116, 58), rng, 0.07) * np.float32(rng.uniform(0.75, 1.2))
        blade = mix(green, bgr(168, 188, 120), smoothstep(0.55, 1.0, np.abs(side)))
        albedo[leaf] = mix(blade, bgr(150, 150, 80), smoothstep(0.75, 1.0, t))
        height[leaf] = 0.15 + 0.2 * inner + 0.12 * t * (1 - t) + 0.035 * side**2
        mask |= leaf
    return height, albedo, mask


_SURFACES: dict[str, Callable[[Grid, np.random.Generator], Surface]] = {
    "apple": _apple,
    "banana": _banana,
    "grape": _grape,
    "orange": _orange,
    "pineapple": _pineapple,
    "watermelon": _watermelon,
}

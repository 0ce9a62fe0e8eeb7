"""What passes between the camera and the products: arms, and the bar between two customers."""

from __future__ import annotations

import numpy as np

from demo.shading import (
    Grid,
    Light,
    Sprite,
    Surface,
    bgr,
    f32,
    fractal,
    from_segment,
    mix,
    noise,
    smoothstep,
    sprite_of,
)

_SKINS = (bgr(236, 188, 160), bgr(214, 158, 122), bgr(168, 112, 78), bgr(110, 70, 48))
_SLEEVES = (
    bgr(52, 84, 142),
    bgr(140, 44, 52),
    bgr(60, 64, 70),
    bgr(196, 190, 178),
    bgr(40, 110, 96),
    bgr(224, 226, 230),
)
_DIVIDERS = (bgr(196, 36, 40), bgr(30, 84, 168), bgr(34, 128, 70), bgr(54, 54, 58))

_ARM_REACH = 1.25
"""Half the length of an arm's grid, in units of half the arm's nominal length."""


def draw_arm(length_px: float, angle: float, light: Light, rng: np.random.Generator) -> Sprite:
    """A sleeved arm with a reaching hand; at angle 0 the fingers point up."""
    grid = Grid.over(length_px / 2, _ARM_REACH, angle)
    mirror = 1.0 if rng.random() < 0.5 else -1.0
    bones = [
        ((0.0, -0.42), (0.0, -0.62), 0.125, 0.165),  # palm
        ((0.0, 0.10), (0.0, -0.46), 0.115, 0.100),  # wrist
        ((-0.12, -0.66), (-0.17, -0.92), 0.048, 0.040),
        ((-0.04, -0.70), (-0.06, -1.02), 0.050, 0.042),
        ((0.04, -0.70), (0.05, -1.00), 0.050, 0.042),
        ((0.12, -0.66), (0.155, -0.90), 0.045, 0.036),
        ((-0.12, -0.52), (-0.30, -0.74), 0.060, 0.044),  # thumb
    ]
    height = np.zeros_like(grid.u)
    for start, end, thick, thin in bones:
        near = (start[0] * mirror, start[1])
        far = (end[0] * mirror + rng.normal(0, 0.012), end[1] + rng.normal(0, 0.02))
        distance, share = from_segment(grid, near, far)
        radius = thick + (thin - thick) * share
        height = np.maximum(height, np.sqrt(np.clip(radius**2 - distance**2, 0, None)))
    skin_colour = _SKINS[rng.integers(len(_SKINS))]
    skin = mix(
        skin_colour,
        skin_colour * f32([0.78, 0.80, 0.95]),
        smoothstep(-0.4, 0.9, fractal(rng, grid.u, grid.v, (3, 3))),
    )

    distance, share = from_segment(grid, (0.0, -0.22), (0.0, 2.0))
    folds = noise(rng, grid.u, grid.v, (3, 7))
    radius = 0.165 + 0.09 * share
    cloth = (distance < radius) & (grid.v > -0.24 + 0.02 * np.cos(grid.u * 20))
    cloth_height = 0.05 + np.sqrt(np.clip(radius**2 - distance**2, 0, None)) + 0.018 * folds
    weave = _SLEEVES[rng.integers(len(_SLEEVES))]
    sleeve = mix(weave, weave * np.float32(0.75), smoothstep(0.0, 0.9, f32(-folds)))
    hem = np.exp(-(((grid.v + 0.19) / 0.02) ** 2))
    sleeve = mix(sleeve, weave * np.float32(0.6), f32(hem))

    mask = (height > 0) | cloth
    height = np.where(cloth, cloth_height, height)
    albedo = np.where(cloth[..., None], sleeve, skin)
    return sprite_of(
        Surface(f32(height), f32(albedo), mask, gloss=0.06, polish=10), grid.step, light
    )


def draw_divider(length_px: float, angle: float, light: Light, rng: np.random.Generator) -> Sprite:
    """The three-edged bar that customers lay between their goods; at angle 0 it lies level."""
    grid = Grid.over(length_px / 2, 1.02, angle)
    half = 0.095
    mask = (np.abs(grid.u) < 0.99) & (np.abs(grid.v) < half)
    height = 0.14 * (1 - np.abs(grid.v) / half)
    colour = _DIVIDERS[rng.integers(len(_DIVIDERS))]
    albedo = np.broadcast_to(colour, (*grid.u.shape, 3))
    label = (np.abs(grid.u) < 0.7) & (grid.v > 0.015) & (grid.v < 0.075)
    letters = (
        label & (np.abs(grid.v - 0.045) < 0.014) & (noise(rng, grid.u, grid.v, (14, 1)) > -0.1)
    )
    albedo = np.where(label[..., None], bgr(232, 232, 226), albedo)
    albedo = np.where(letters[..., None], bgr(70, 70, 74), albedo)
    caps = np.abs(grid.u) > 0.94
    albedo = np.where(caps[..., None], bgr(32, 32, 34), albedo)
    return sprite_of(
        Surface(f32(height), f32(albedo), mask, gloss=0.35, polish=26), grid.step, light
    )

"""The checkout belt: products ride past, while arms and divider bars get in the way."""

from __future__ import annotations

import numpy as np

from demo.backdrops import BELT_BOTTOM, BELT_TOP, draw_belt
from demo.camera import Camera
from demo.compositing import Actor, Product, shadow_of
from demo.occluders import draw_arm, draw_divider
from demo.products import CLASSES, LENGTHS, draw_product
from demo.scenes import FPS, HEIGHT, WIDTH, Film, Scene
from demo.shading import Array, Light, f32, smoothstep

_ROOM = 0.35
"""How much belt, as a share of the frame's width, already carries products at frame 0."""


def belt(
    seed: int, seconds: float = 20.0, width: int = WIDTH, height: int = HEIGHT, fps: int = FPS
) -> Scene:
    """A clip of a belt that runs from left to right and stops now and then.

    Every product starts left of the middle. Products drift against one another a little, so that
    some cover others; bars and arms cover more.
    """
    rng = np.random.default_rng((seed, 1))
    film = Film(width, height, fps, round(seconds * fps))
    travel = _travel(film, rng)
    light = Light.drawn(rng)
    riders = _riders(travel, film, light, rng)
    arms = _arms(film, light, rng)
    return Scene(
        kind="belt",
        seed=seed,
        film=film,
        backdrop=draw_belt(width, height, travel, rng),
        actors=(*riders, *arms),
        camera=Camera.drawn(width, height, rng),
    )


def _travel(film: Film, rng: np.random.Generator) -> Array:
    """How far the belt has moved at each frame, in pixels (frames,)."""
    seconds = film.seconds()
    speed = np.full(film.frames, film.width * rng.uniform(0.16, 0.26), np.float32)
    speed *= f32(1 + 0.15 * np.sin(seconds * rng.uniform(0.3, 0.9) + rng.uniform(0, 6)))
    halt = rng.uniform(3.0, 7.0)
    while halt < seconds[-1]:
        length = rng.uniform(0.5, 1.4)
        braking = smoothstep(halt, halt + 0.5, seconds)
        starting = smoothstep(halt + 0.5 + length, halt + 1.0 + length, seconds)
        speed *= 1 - braking + starting
        halt += length + rng.uniform(4.0, 9.0)
    return f32(np.concatenate([[0.0], np.cumsum(speed[1:] / film.fps)]))


def _riders(travel: Array, film: Film, light: Light, rng: np.random.Generator) -> list[Actor]:
    """Products and divider bars on the belt, the far ones first and the bars on top."""
    width, height = film.width, film.height
    spacing = rng.uniform(0.10, 0.20)
    products: list[tuple[float, Product]] = []
    bars: list[Actor] = []
    taken: list[tuple[float, float]] = []
    behind = -_ROOM * width
    bag: list[int] = []
    while behind < travel[-1]:
        bag = bag or [int(class_id) for class_id in rng.permutation(len(CLASSES))]
        class_id = bag.pop()
        low, high = LENGTHS[CLASSES[class_id]]
        y = _free_lane(behind, taken, height, rng)
        nearness = 0.94 + 0.12 * (y / height - BELT_TOP) / (BELT_BOTTOM - BELT_TOP)
        length = height * rng.uniform(low, high) * nearness
        sprite = draw_product(CLASSES[class_id], length, rng.uniform(0, 2 * np.pi), light, rng)
        y = float(np.clip(y, *_inside(sprite.size[1], height)))
        x = -sprite.size[0] / 2 - behind + travel * rng.uniform(0.96, 1.04)
        path = _on_screen(x, y, sprite.size[0], width)
        shadow = shadow_of(sprite, light, min(sprite.size) * 0.22, 0.8)
        product = Product(sprite, shadow, path, len(products), class_id)
        products.append((y + sprite.size[1] / 2, product))
        taken.append((behind, y))
        if rng.random() < 0.10:
            bars.append(_bar(travel - behind - width * 0.04, film, light, rng))
        behind += width * spacing * rng.uniform(0.55, 1.5)
    products.sort(key=lambda entry: entry[0])
    return [*(product for _, product in products), *bars]


def _inside(sprite_height: int, height: int) -> tuple[float, float]:
    """The lowest and highest y at which a sprite of this height lies on the belt."""
    low = height * BELT_TOP + sprite_height * 0.42
    return low, max(low, height * BELT_BOTTOM - sprite_height * 0.48)


def _free_lane(
    behind: float, taken: list[tuple[float, float]], height: int, rng: np.random.Generator
) -> float:
    """A y on the belt, mostly the one of a few that is farthest from the neighbours."""
    candidates = rng.uniform(BELT_TOP + 0.08, BELT_BOTTOM - 0.08, 5) * height
    if rng.random() < 0.15:
        return float(candidates[0])
    recent = taken[-4:]

    def clearance(y: float) -> float:
        return min((float(np.hypot(behind - x, y - v)) for x, v in recent), default=0.0)

    return max((float(y) for y in candidates), key=clearance)


def _bar(front: Array, film: Film, light: Light, rng: np.random.Generator) -> Actor:
    """A divider bar across the belt, its front edge at x = `front` (frames,)."""
    height = film.height
    length = height * (BELT_BOTTOM - BELT_TOP) * rng.uniform(0.62, 0.8)
    sprite = draw_divider(length, np.pi / 2 + rng.normal(0, 0.12), light, rng)
    y = height * (BELT_TOP + BELT_BOTTOM) / 2 + rng.normal(0, height * 0.03)
    path = _on_screen(front - sprite.size[0] / 2, y, sprite.size[0], film.width)
    return Actor(sprite, shadow_of(sprite, light, height * 0.025, 0.8), path)


def _on_screen(x: Array, y: float, sprite_width: int, width: int) -> Array:
    """The path (frames, 2) at height y, NaN where a sprite at x is wholly outside the frame."""
    path = f32(np.stack([x, np.full_like(x, y)], axis=1))
    away = (x < -sprite_width / 2 - 1) | (x > width + sprite_width / 2 + 1)
    path[away] = np.nan
    return path


def _arms(film: Film, light: Light, rng: np.random.Generator) -> list[Actor]:
    """Arms that reach over the belt, from the customer's side or the cashier's."""
    width, height = film.width, film.height
    arms: list[Actor] = []
    start = rng.uniform(0.5, 4.0)
    while start < film.frames / film.fps:
        from_below = rng.random() < 0.6
        lean = rng.normal(0, 0.25)
        sprite = draw_arm(
            height * rng.uniform(0.9, 1.1), lean if from_below else np.pi + lean, light, rng
        )
        deep = rng.uniform(0.25, 0.6) * height
        half = sprite.size[1] / 2
        out = height + half + 2 if from_below else -half - 2
        reached = height - deep + half if from_below else deep - half
        x = rng.uniform(0.12, 0.88) * width
        last = start + rng.uniform(1.2, 2.2)
        path = reach(film, (start, last), (x, out), (x + lean * deep, reached))
        arms.append(Actor(sprite, shadow_of(sprite, light, height * 0.06, 0.6), path))
        start = last + rng.uniform(2.5, 7.0)
    return arms


def reach(
    film: Film,
    span_s: tuple[float, float],
    rest: tuple[float, float],
    goal: tuple[float, float],
) -> Array:
    """A path (frames, 2) from `rest` to `goal` and back within `span_s`; NaN before and after."""
    share = (film.seconds() - span_s[0]) / (span_s[1] - span_s[0])
    there = smoothstep(0.0, 0.38, f32(share)) * (1 - smoothstep(0.62, 1.0, f32(share)))
    path = f32(rest) + (f32(goal) - f32(rest)) * there[:, None]
    path[(share < 0) | (share > 1)] = np.nan
    return f32(path)

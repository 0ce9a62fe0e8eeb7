"""The shelf: products stand in rows, and hands take some away and bring some back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from demo.backdrops import draw_shelves
from demo.belt import reach
from demo.camera import Camera
from demo.compositing import Actor, Product, shadow_of
from demo.occluders import draw_arm
from demo.products import CLASSES, LENGTHS, draw_product
from demo.scenes import FPS, HEIGHT, WIDTH, Film, Scene
from demo.shading import Light, Sprite, f32

_FLOORS = (0.475, 0.945)
"""Where the boards' upper edges are, as shares of the frame's height."""

_TILTS = {"apple": 0.35, "orange": 3.1, "banana": 0.15, "watermelon": 0.12}
"""How far a standing product may lean, in radians; 0.06 where nothing is said."""


@dataclass(frozen=True)
class _Visit:
    """One reach of an arm for the product at a place of the shelf: away with it, or back.

    `home` is where the product's middle stands, x and y in pixels of the frame.
    """

    place: int
    home: tuple[float, float]
    start_s: float
    end_s: float
    returns: bool


def shelf(
    seed: int, seconds: float = 20.0, width: int = WIDTH, height: int = HEIGHT, fps: int = FPS
) -> Scene:
    """A clip of two shelves seen from the front.

    Products stand in groups of their class. One arm at a time takes a product away, and about half
    of what was taken comes back to its place later, as the same product.
    """
    rng = np.random.default_rng((seed, 2))
    film = Film(width, height, fps, round(seconds * fps))
    light = Light.drawn(rng)
    floors = [round(height * floor) for floor in _FLOORS]
    standing = _stock(film, floors, light, rng)
    visits = _visits(standing, seconds, rng)
    moved: dict[int, Product] = {}
    arms: list[Actor] = []
    for visit in visits:
        product = moved.get(visit.place, standing[visit.place])
        arm, moved[visit.place] = _carry(product, visit, film, light, rng)
        arms.append(arm)
    still = [product for place, product in enumerate(standing) if place not in moved]
    return Scene(
        kind="shelf",
        seed=seed,
        film=film,
        backdrop=draw_shelves(width, height, floors, rng),
        actors=(*still, *moved.values(), *arms),
        camera=Camera.drawn(width, height, rng),
    )


def _stock(film: Film, floors: list[int], light: Light, rng: np.random.Generator) -> list[Product]:
    """Everything on the shelves at frame 0, left to right and top to bottom."""
    products: list[Product] = []
    width, height = film.width, film.height
    scale = rng.uniform(0.74, 0.88)
    bag: list[int] = []
    for floor in floors:
        left = rng.uniform(0.0, 0.05) * width
        for class_id in _facings(bag, rng):
            sprite = _draw_standing(CLASSES[class_id], height * scale, light, rng)
            if left + sprite.size[0] > width * 0.99:
                bag.append(class_id)
                break
            x, y = left + sprite.size[0] / 2, floor - sprite.size[1] / 2 - height / 120
            path = f32(np.tile([x, y], (film.frames, 1)))
            shadow = shadow_of(sprite, light, height * 0.03, 0.85)
            products.append(Product(sprite, shadow, path, len(products), class_id))
            left += sprite.size[0] * rng.uniform(0.86, 1.15)
    return products


def _facings(bag: list[int], rng: np.random.Generator) -> Iterator[int]:
    """Class ids without end, one to three alike in a row, from a bag that holds each class."""
    while True:
        if not bag:
            bag.extend(int(class_id) for class_id in rng.permutation(len(CLASSES)))
        yield from [bag.pop()] * int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))


def _draw_standing(name: str, scale_px: float, light: Light, rng: np.random.Generator) -> Sprite:
    """A product as it stands on a shelf; `scale_px` is what a share of 1 in `LENGTHS` measures."""
    low, high = LENGTHS[name]
    tilt = _TILTS.get(name, 0.06)
    return draw_product(
        name, scale_px * rng.uniform(low, high), rng.uniform(-tilt, tilt), light, rng
    )


def _visits(standing: list[Product], seconds: float, rng: np.random.Generator) -> list[_Visit]:
    """Who is taken and brought back, and when, in order of time."""
    visits: list[_Visit] = []
    away: list[int] = []
    choice = [int(place) for place in rng.permutation(len(standing))]
    start = rng.uniform(0.8, 2.5)
    while choice and start + 2.0 < seconds:
        end = start + rng.uniform(1.6, 2.4)
        returns = bool(away) and rng.random() < 0.5
        place = away.pop(0) if returns else choice.pop()
        if not returns:
            away.append(place)
        x, y = (float(part) for part in standing[place].path[0])
        visits.append(_Visit(place, (x, y), float(start), float(end), returns))
        start = end + rng.uniform(0.6, 2.5)
    return visits


def _carry(
    product: Product, visit: _Visit, film: Film, light: Light, rng: np.random.Generator
) -> tuple[Actor, Product]:
    """The arm of one visit, and the product with its path changed by it.

    While the hand holds the product, both move as one; the product is gone after it was taken, and
    stands at home after it came back.
    """
    lean = float(rng.normal(0, 0.15))
    sprite = draw_arm(film.height * rng.uniform(0.95, 1.1), lean, light, rng)
    half, tall = sprite.size[1] / 2, product.sprite.size[1]
    goal = (visit.home[0] - lean * half, visit.home[1] + tall * rng.uniform(0.05, 0.3) + half)
    drop = film.height + half - goal[1] + tall
    rest = (goal[0] - lean * drop, goal[1] + drop)
    arm = reach(film, (visit.start_s, visit.end_s), rest, goal)

    middle = round((visit.start_s + visit.end_s) / 2 * film.fps)
    held = f32(f32(visit.home) + arm - f32(goal))
    path = product.path.copy()
    if visit.returns:
        coming = ~np.isnan(arm[:, 0])
        path[coming] = held[coming]
        path[middle + 1 :] = visit.home
    else:
        path[middle + 1 :] = held[middle + 1 :]
    shadow = shadow_of(sprite, light, film.height * 0.06, 0.6)
    return Actor(sprite, shadow, arm), replace(product, path=path)

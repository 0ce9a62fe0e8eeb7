"""What a product looks like before it is put into a scene."""

import numpy as np
import pytest

from demo.products import CLASSES, draw_product
from demo.shading import Grid, Light, Surface, bgr, dome, f32, sprite_of

FROM_THE_LEFT = Light((-0.8, 0.0, 0.6), (1.0, 1.0, 1.0), 0.3)
LENGTH_PX = 60.0


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("angle", [0.0, 0.8, 2.2])
def test_a_product_fits_its_canvas_and_fills_most_of_its_length(name: str, angle: float) -> None:
    sprite = draw_product(name, LENGTH_PX, angle, FROM_THE_LEFT, np.random.default_rng(1))
    # A product that ran out of its canvas would be exactly as large as the canvas.
    assert max(sprite.size) < round(1.15 * LENGTH_PX)
    assert np.hypot(*sprite.size) > 0.7 * LENGTH_PX


@pytest.mark.parametrize("name", CLASSES)
def test_a_sprite_is_cropped_to_what_shows_and_stays_in_range(name: str) -> None:
    sprite = draw_product(name, LENGTH_PX, 0.5, FROM_THE_LEFT, np.random.default_rng(2))
    alpha = sprite.alpha
    assert all(edge.any() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
    assert alpha.min() == 0.0
    assert alpha.max() == 1.0
    assert (sprite.bgra[..., :3] <= 255 * alpha[..., None] + 1e-3).all()


@pytest.mark.parametrize("name", CLASSES)
def test_two_instances_of_a_class_differ(name: str) -> None:
    rng = np.random.default_rng(3)
    first = draw_product(name, LENGTH_PX, 0.0, FROM_THE_LEFT, rng)
    second = draw_product(name, LENGTH_PX, 0.0, FROM_THE_LEFT, rng)
    assert first.bgra.shape != second.bgra.shape or not np.array_equal(first.bgra, second.bgra)


def test_the_side_that_faces_the_lamp_is_brighter() -> None:
    grid = Grid.over(20.0, 1.1, 0.0)
    inside = f32(1 - grid.u**2 - grid.v**2)
    grey = np.broadcast_to(bgr(128, 128, 128), (*inside.shape, 3))
    ball = Surface(dome(inside), grey, inside > 0, gloss=0.0, polish=10)
    sprite = sprite_of(ball, grid.step, FROM_THE_LEFT)
    row, column = sprite.size[1] // 2, sprite.size[0] // 5
    assert sprite.bgra[row, column, 1] > 1.3 * sprite.bgra[row, -1 - column, 1]

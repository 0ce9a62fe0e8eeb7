"""Scenes: the same every time, and true about what they show."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from demo.belt import belt
from demo.compositing import Product, composite
from demo.products import CLASSES
from demo.scenes import Scene
from demo.shading import Sprite, f32
from demo.shelf import shelf
from demo.truth import ClipTruth

Build = Callable[..., Scene]
WIDTH, HEIGHT, FPS = 320, 180, 10

RETURNS = 3
"""A shelf on which one product comes back and another does not."""

both_kinds = pytest.mark.parametrize("build", [belt, shelf])


def small(build: Build, seed: int, seconds: float = 6.0) -> Scene:
    return build(seed, seconds, WIDTH, HEIGHT, FPS)


def told(scene: Scene) -> ClipTruth:
    return scene.truth([boxes for _, boxes in scene])


@both_kinds
def test_the_same_seed_renders_the_same_pixels_and_truth(build: Build) -> None:
    first, second = small(build, 5, 2.0), small(build, 5, 2.0)
    for frame in (0, 7, 19):
        one, its_boxes = first.render(frame)
        other, other_boxes = second.render(frame)
        assert np.array_equal(one, other)
        assert its_boxes == other_boxes


@both_kinds
def test_another_seed_renders_another_scene(build: Build) -> None:
    assert not np.array_equal(small(build, 5, 1.0).render(0)[0], small(build, 6, 1.0).render(0)[0])


@both_kinds
def test_a_frame_is_the_same_rendered_alone_or_in_order(build: Build) -> None:
    in_order = list(small(build, 8, 1.0))
    alone, boxes = small(build, 8, 1.0).render(6)
    assert np.array_equal(alone, in_order[6][0])
    assert boxes == in_order[6][1]


@both_kinds
def test_a_picture_is_a_colour_frame_of_the_asked_size(build: Build) -> None:
    scene = small(build, 5, 1.0)
    image, _ = scene.render(3)
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert image.dtype == np.uint8
    assert scene.film.frames == FPS


@both_kinds
def test_every_class_occurs(build: Build) -> None:
    seen = {product.class_name for product in told(small(build, 11, 8.0)).products}
    assert seen == set(CLASSES)


@both_kinds
def test_the_truth_is_what_changes_when_a_product_is_painted_another_colour(build: Build) -> None:
    """Black against white leaves, in each pixel, the share of it that the product still shows."""
    scene = small(build, 4)
    part_hidden = 0
    for frame in (9, 27, 44):
        _, boxes = scene.render(frame)
        truth = {box.product: box for box in boxes}
        for product in (actor for actor in scene.actors if isinstance(actor, Product)):
            shows = painted(scene, product, 255.0, frame) - painted(scene, product, 0.0, frame)
            shows /= 255
            if product.id not in truth:
                assert not (shows > 0.501).any()
                continue
            box = truth[product.id]
            # The two bounds leave room for rounding at a cover of exactly a half.
            assert encloses(extent(shows >= 0.499), box.xyxy)
            assert encloses(box.xyxy, extent(shows >= 0.501))
            assert box.visible == pytest.approx(shows.sum() / product.sprite.alpha.sum(), abs=2e-3)
            part_hidden += 0.02 < box.visible < 0.9
    assert part_hidden


def painted(scene: Scene, product: Product, level: float, frame: int) -> npt.NDArray[np.float32]:
    """One channel of the frame with this product in one flat grey, before the camera."""
    bgra = product.sprite.bgra.copy()
    bgra[..., :3] = bgra[..., 3:] * level
    flat = replace(product, sprite=Sprite(bgra))
    # Shadows of what is in front would dim white more than black.
    actors = tuple(
        replace(actor, shadow=replace(actor.shadow, dark=np.zeros_like(actor.shadow.dark)))
        for actor in (flat if actor is product else actor for actor in scene.actors)
    )
    image = scene.backdrop.at(frame)
    composite(image, actors, frame)
    return f32(image[..., 0])


def extent(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return WIDTH, HEIGHT, 0, 0
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def encloses(outer: tuple[int, int, int, int], inner: tuple[int, int, int, int]) -> bool:
    (a, b, c, d), (e, f, g, h) = outer, inner
    return a <= e and b <= f and c >= g and d >= h


@both_kinds
def test_entry_and_exit_are_the_first_and_last_frame_with_a_box(build: Build) -> None:
    truth = told(small(build, 4))
    for product in truth.products:
        assert product.entry == min(product.boxes)
        assert product.exit == max(product.boxes)
        for box in product.boxes.values():
            x1, y1, x2, y2 = box.xyxy
            assert 0 <= x1 < x2 <= WIDTH
            assert 0 <= y1 < y2 <= HEIGHT
            assert 0 < box.visible <= 1
            assert box.class_id == CLASSES.index(product.class_name)


def test_a_product_crosses_the_middle_when_its_centre_gets_there() -> None:
    truth = told(small(belt, 4, 10.0))
    checked = 0
    for product in truth.products:
        if product.crossing is None:
            continue
        before, after = (product.boxes.get(product.crossing - step) for step in (1, 0))
        if before and after and before.visible == after.visible == 1.0:
            assert sum(before.xyxy[::2]) / 2 < WIDTH / 2 + 1
            assert sum(after.xyxy[::2]) / 2 > WIDTH / 2 - 1
            checked += 1
    assert checked >= 3


def test_products_on_the_belt_never_move_back() -> None:
    for product in told(small(belt, 6)).products:
        whole = [box.xyxy[0] for box in product.boxes.values() if box.visible == 1.0]
        assert all(later >= earlier for earlier, later in pairwise(whole))


def test_a_product_that_is_brought_back_stands_where_it_stood() -> None:
    truth = told(small(shelf, RETURNS, 20.0))
    back = [
        product
        for product in truth.products
        if any(b - a > FPS for a, b in pairwise(product.boxes)) and product.exit == truth.frames - 1
    ]
    assert back
    for product in back:
        assert product.boxes[product.exit].xyxy == product.boxes[0].xyxy


def test_a_product_that_is_taken_for_good_leaves_before_the_end() -> None:
    truth = told(small(shelf, RETURNS, 20.0))
    assert any(product.exit < truth.frames - FPS for product in truth.products)

"""A scene: a backdrop, actors and a camera, rendered frame by frame with its truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demo.backdrops import Backdrop
from demo.camera import Camera
from demo.compositing import Actor, Product, composite
from demo.products import CLASSES
from demo.truth import ClipTruth, ProductTruth, TruthBox

Image = npt.NDArray[np.uint8]

WIDTH, HEIGHT, FPS = 640, 360, 25
"""What the demo films with unless told otherwise."""


@dataclass(frozen=True)
class Film:
    """How large, how fast and how long: pixels, frames a second, frames."""

    width: int
    height: int
    fps: int
    frames: int

    def seconds(self) -> npt.NDArray[np.float32]:
        """The time of each frame since the first, (frames,)."""
        return np.arange(self.frames, dtype=np.float32) / np.float32(self.fps)


@dataclass(frozen=True)
class Scene:
    """Everything that is needed to render any frame of a clip; `actors` are in drawing order."""

    kind: str
    seed: int
    film: Film
    backdrop: Backdrop
    actors: tuple[Actor, ...]
    camera: Camera

    def render(self, frame: int) -> tuple[Image, list[TruthBox]]:
        """The picture of one frame, BGR (H, W, 3), and the box of each product that shows in it."""
        image = self.backdrop.at(frame)
        boxes = composite(image, self.actors, frame)
        return self.camera.expose(image, frame), sorted(boxes, key=lambda box: box.product)

    def __iter__(self) -> Iterator[tuple[Image, list[TruthBox]]]:
        """Every frame in order."""
        return (self.render(frame) for frame in range(self.film.frames))

    def truth(self, boxes: list[list[TruthBox]]) -> ClipTruth:
        """The clip's truth, from the boxes that rendering each frame gave."""
        seen: dict[int, dict[int, TruthBox]] = defaultdict(dict)
        for frame, found in enumerate(boxes):
            for box in found:
                seen[box.product][frame] = box
        products = {actor.id: actor for actor in self.actors if isinstance(actor, Product)}
        return ClipTruth(
            kind=self.kind,
            seed=self.seed,
            width=self.film.width,
            height=self.film.height,
            fps=self.film.fps,
            frames=self.film.frames,
            classes=CLASSES,
            products=tuple(self._product(products[id_], seen[id_]) for id_ in sorted(seen)),
        )

    def _product(self, product: Product, boxes: dict[int, TruthBox]) -> ProductTruth:
        return ProductTruth(
            id=product.id,
            class_id=product.class_id,
            class_name=CLASSES[product.class_id],
            entry=min(boxes),
            exit=max(boxes),
            crossing=_crossing(product.path[:, 0], self.film.width / 2),
            boxes=boxes,
        )


def _crossing(x: npt.NDArray[np.float32], line: float) -> int | None:
    """The first frame in which something that started on one side of the line is on the other."""
    there = x[~np.isnan(x)]
    if not len(there):
        return None
    start = there[0] < line
    over = np.flatnonzero(~np.isnan(x) & ((x < line) != start))
    return int(over[0]) if len(over) else None

"""What is true of a rendered clip, and how it is kept as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

_PLAIN = ("id", "class_id", "class_name", "entry", "exit", "crossing")
"""The fields of a product that JSON holds as they are."""


@dataclass(frozen=True)
class TruthBox:
    """One product in one frame.

    `xyxy` is in pixels of the frame: the edges around every pixel of which the product shows at
    least half. `visible` is the share 0..1 of the whole product that shows, neither hidden by what
    is in front of it nor cut off by the frame.
    """

    product: int
    class_id: int
    xyxy: tuple[int, int, int, int]
    visible: float


@dataclass(frozen=True)
class ProductTruth:
    """One product over a whole clip; frame numbers start at 0.

    `boxes` has a box for each frame in which the product shows. `entry` and `exit` are the first
    and the last of them. `crossing` is the first frame in which the middle of the whole product has
    reached the middle of the frame's width, for products on a belt that get there.
    """

    id: int
    class_id: int
    class_name: str
    entry: int
    exit: int
    crossing: int | None
    boxes: dict[int, TruthBox]


@dataclass(frozen=True)
class ClipTruth:
    """A clip, how it was made, and every product in it."""

    kind: str
    seed: int
    width: int
    height: int
    fps: int
    frames: int
    classes: tuple[str, ...]
    products: tuple[ProductTruth, ...]

    def in_frame(self, frame: int) -> list[TruthBox]:
        """The boxes of one frame, by product id."""
        return [product.boxes[frame] for product in self.products if frame in product.boxes]

    def write(self, path: Path) -> None:
        """Keep it as JSON, one product a line."""
        head = asdict(replace(self, products=()))
        del head["products"]
        lines = ",\n".join(json.dumps(_product_to_json(product)) for product in self.products)
        text = json.dumps(head)[:-1] + ', "products": [\n' + lines + "\n]}\n"
        path.write_text(text, encoding="utf-8")

    @staticmethod
    def read(path: Path) -> ClipTruth:
        """What `write` kept."""
        data = json.loads(path.read_text(encoding="utf-8"))
        data["classes"] = tuple(data["classes"])
        data["products"] = tuple(_product_from_json(entry) for entry in data["products"])
        return ClipTruth(**data)


def _product_to_json(product: ProductTruth) -> dict[str, Any]:
    entry = {name: getattr(product, name) for name in _PLAIN}
    entry["boxes"] = [[frame, *box.xyxy, box.visible] for frame, box in product.boxes.items()]
    return entry


def _product_from_json(entry: dict[str, Any]) -> ProductTruth:
    boxes = {
        frame: TruthBox(entry["id"], entry["class_id"], (x1, y1, x2, y2), visible)
        for frame, x1, y1, x2, y2, visible in entry["boxes"]
    }
    return ProductTruth(**{name: entry[name] for name in _PLAIN}, boxes=boxes)

"""Small data sets of labelled images, made of noise, to be broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

NAMES = ["apple", "banana", "orange"]
LABEL = "0 0.5 0.5 0.4 0.4\n1 0.25 0.25 0.2 0.2\n2 0.7 0.7 0.3 0.3\n"


def write_image(path: Path, seed: int, size: tuple[int, int] = (64, 48)) -> Path:
    """A picture like no other: blocks of noise, so that its perceptual hash is its own."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(path)
    return path


def write_dataset(
    root: Path,
    splits: Mapping[str, int] | None = None,
    layout: str = "images/{split}",
    **content: Any,
) -> Path:
    """A sound data set: pictures with three objects each.

    Args:
        root: its folder.
        splits: how many pictures each split has.
        layout: where the pictures of a split lie; labels lie beside.
        content: what its `data.yaml` says otherwise; None for what it does not say.

    Returns:
        its `data.yaml`.
    """
    splits = {"train": 4, "val": 2} if splits is None else splits
    said: dict[str, Any] = {split: layout.format(split=split) for split in splits}
    seed = 0
    for split, count in splits.items():
        for number in range(count):
            seed += 1
            image = write_image(root / layout.format(split=split) / f"{split}{number}.png", seed)
            label_of(image).parent.mkdir(parents=True, exist_ok=True)
            label_of(image).write_text(LABEL)
    said |= {"names": NAMES} | content
    data = root / "data.yaml"
    data.write_text(
        yaml.safe_dump({key: value for key, value in said.items() if value is not None})
    )
    return data


def label_of(image: Path) -> Path:
    """Where the label of a picture lies."""
    parts: Sequence[str] = ["labels" if part == "images" else part for part in image.parts]
    return Path(*parts).with_suffix(".txt")

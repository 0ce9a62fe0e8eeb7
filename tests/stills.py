"""Images of rendered scenes, in the many forms that people have them in."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from demo.belt import belt
from demo.shelf import shelf

# Ultralytics reads each of them; the products are the demo model's.
READABLE = (
    "16-bit.png",
    "16-bit.tif",
    "animated.webp",
    "belt.jpg",
    "grey.jpg",
    "rotated.jpg",
    "shelf.png",
    "Süßes/clipping é.bmp",
    "see-through.png",
    "tiny.png",
)
UNREADABLE = ("cut off.png", "empty.jpg", "huge.png", "narrow.png", "words.jpg")


def write_stills(folder: Path) -> Path:
    """Write `READABLE` under a folder, and return it."""
    (folder / "Süßes").mkdir(parents=True)
    still, belted = shelf(91_000, 9.0).render(100)[0], belt(91_001, 9.0).render(100)[0]
    wide = still.astype(np.uint16) * 257
    for name, image in (
        ("shelf.png", still),
        ("belt.jpg", belted),
        ("16-bit.png", wide),
        ("16-bit.tif", wide),
        ("grey.jpg", cv2.cvtColor(still, cv2.COLOR_BGR2GRAY)),
        ("see-through.png", cv2.cvtColor(still, cv2.COLOR_BGR2BGRA)),
        ("Süßes/clipping é.bmp", belted[:, 200:520]),
        ("tiny.png", still[:9, :5]),
    ):
        _write(folder / name, image)
    upright = Image.fromarray(still[..., ::-1])
    exif = Image.Exif()
    exif[0x0112] = 8  # the camera was turned: to be shown a quarter turn to the left
    upright.rotate(-90, expand=True).save(folder / "rotated.jpg", exif=exif)
    second = Image.fromarray(belted[..., ::-1])
    upright.save(folder / "animated.webp", save_all=True, append_images=[second], duration=100)
    return folder


def write_broken(folder: Path) -> None:
    """Write `UNREADABLE` beside them."""
    (folder / "empty.jpg").touch()
    (folder / "words.jpg").write_text("a picture says more")
    whole = (folder / "shelf.png").read_bytes()
    (folder / "cut off.png").write_bytes(whole[:60])
    # The size is in the first chunk, whose sum is at its end: OpenCV takes 2^30 pixels at most.
    header = b"IHDR" + struct.pack(">II", 40_000, 40_000) + whole[24:29]
    sum_of_it = struct.pack(">I", zlib.crc32(header))
    (folder / "huge.png").write_bytes(whole[:12] + header + sum_of_it + whole[33:])
    _write(folder / "narrow.png", np.zeros((2000, 1, 3), np.uint8))


def _write(path: Path, image: NDArray[Any]) -> None:
    written, encoded = cv2.imencode(path.suffix, image)
    assert written
    path.write_bytes(encoded.tobytes())

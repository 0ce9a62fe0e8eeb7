"""An image file: whether it decodes, how large it is, and what it looks like in 64 bits."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image, ImageOps

from db.files import sha256_of

# What Ultralytics takes, as Pillow calls it: `IMG_FORMATS` of `ultralytics.data.utils`, and the
# side below which its `check_image` leaves an image out.
FORMATS = frozenset(
    {"AVIF", "BMP", "DNG", "HEIC", "HEIF", "JP2", "JPEG", "JPEG2000", "JPG", "MPO", "PNG", "TIF"}
    | {"TIFF", "WEBP"}
)
_SMALLEST_SIDE = 10

# The side to which an image is brought before it is hashed: a fast decoder's scale for JPEG.
_HASHED_SIDE = 256


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image.

    Attributes:
        width, height: pixels, as it is shown (EXIF's orientation applied).
        sha256: of the file.
        phash: perceptual hash, 64 bits; images that look alike differ in few of them.
    """

    width: int
    height: int
    sha256: str
    phash: int


def read_picture(path: Path) -> Picture | None:
    """Decode an image file, all of it; None if that fails, or Ultralytics would not take it.

    The hash is Zauner's pHash (Implementation and Benchmarking of Perceptual Image Hash
    Functions, 2010), by the ImageHash library.

    Raises:
        OSError: the file cannot be read at all.
    """
    sha256 = sha256_of(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of odd metadata
            with Image.open(path) as image:
                if image.format not in FORMATS or min(image.size) < _SMALLEST_SIDE:
                    return None
                image.load()
                shown = ImageOps.exif_transpose(image)
            width, height = shown.size
            small = shown.convert("L").resize((_HASHED_SIDE, _HASHED_SIDE), Image.Resampling.BOX)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    except ImportError:
        # Where Ultralytics was imported, it has Pillow look for a package of HEIF's in the end.
        return None
    bits = imagehash.phash(small).hash
    return Picture(width, height, sha256, int.from_bytes(np.packbits(bits).tobytes(), "big"))

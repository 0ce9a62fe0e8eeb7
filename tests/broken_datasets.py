"""Each way in which a data set can be broken, at one of its images, and what is to be found."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import yaml
from PIL import Image

from tests.labelled import label_of

Found = tuple[str, str, str | None, int]
"""Severity, kind, split and count of a finding."""


def _empty_image(image: Path) -> None:
    image.write_bytes(b"")


def _cut_image(image: Path) -> None:
    content = image.read_bytes()
    image.write_bytes(content[: len(content) // 2])


def _text_image(image: Path) -> None:
    image.write_text("no picture")


def _gif_image(image: Path) -> None:
    with Image.open(image) as picture:
        picture.save(image, "GIF")


def _thin_image(image: Path) -> None:
    with Image.open(image) as picture:
        picture.resize((9, 48)).save(image)


def _latin_name(image: Path) -> None:
    """Under a name as an old system wrote it: `café` in Latin-1."""
    for path in (image, label_of(image)):
        name = b"caf\xe9" + os.fsencode(path.suffix)
        os.rename(path, os.path.join(os.fsencode(path.parent), name))


def _one_name_twice(image: Path) -> None:
    data = image.parents[2] / "data.yaml"
    content = yaml.safe_load(data.read_text())
    names = content["names"]
    first, *others, _ = list(names.values()) if isinstance(names, dict) else names
    data.write_text(yaml.safe_dump(content | {"names": [first, *others, first]}))


def _no_label(image: Path) -> None:
    label_of(image).unlink()


def _lone_label(image: Path) -> None:
    label_of(image.with_name("lone.png")).write_text("0 0.5 0.5 0.1 0.1\n")


def _with_line(line: str) -> Callable[[Path], None]:
    def write(image: Path) -> None:
        label = label_of(image)
        label.write_text(f"{label.read_text().rstrip()}\n{line}\n")

    return write


def _with_content(content: bytes) -> Callable[[Path], None]:
    def write(image: Path) -> None:
        label_of(image).write_bytes(content)

    return write


def _repeated_line(image: Path) -> None:
    _with_line(label_of(image).read_text().splitlines()[0])(image)


def _other_split(image: Path) -> Path:
    return image.parents[1] / "val"


def _copied_to(image: Path, folder: Path) -> None:
    copy = folder / f"copy{image.suffix}"
    copy.write_bytes(image.read_bytes())
    label_of(copy).write_bytes(label_of(image).read_bytes())


def _reencoded(image: Path) -> None:
    """A copy of a picture in the other split, smaller and as JPEG."""
    copy = _other_split(image) / "again.jpg"
    with Image.open(image) as picture:
        size = (picture.width * 7 // 8, picture.height * 7 // 8)
        picture.convert("RGB").resize(size).save(copy, quality=90)
    label_of(copy).write_bytes(label_of(image).read_bytes())


def _relabelled(split: str, content: str) -> Callable[[Path], None]:
    def write(image: Path) -> None:
        for label in label_of(image.parents[1] / split / "any.png").parent.glob("*.txt"):
            label.write_text(content)

    return write


def _unbalanced(image: Path) -> None:
    apples = "".join(f"0 0.{tenth} 0.5 0.05 0.05\n" for tenth in range(1, 10))
    _relabelled("train", apples)(image)
    _with_line("1 0.5 0.8 0.1 0.1\n2 0.5 0.2 0.1 0.1")(image)


BREAKAGES: dict[str, tuple[Callable[[Path], None], list[Found]]] = {
    "empty image": (_empty_image, [("error", "unreadable image", "train", 1)]),
    "cut image": (_cut_image, [("error", "unreadable image", "train", 1)]),
    "text as image": (_text_image, [("error", "unreadable image", "train", 1)]),
    "gif": (_gif_image, [("error", "unreadable image", "train", 1)]),
    "too thin": (_thin_image, [("error", "unreadable image", "train", 1)]),
    "latin name": (_latin_name, [("error", "file name that is not UTF-8", "train", 1)]),
    "one name twice": (_one_name_twice, [("error", "two classes of one name", None, 1)]),
    "image gone": (Path.unlink, [("warning", "label without image", "train", 1)]),
    "label gone": (_no_label, [("warning", "image without label", "train", 1)]),
    "lone label": (_lone_label, [("warning", "label without image", "train", 1)]),
    "four numbers": (_with_line("0 0.5 0.5 0.1"), [("error", "malformed line", "train", 1)]),
    "name for id": (_with_line("apple 0.5 0.5 0.1 0.1"), [("error", "malformed line", "train", 1)]),
    "nan": (_with_line("0 nan 0.5 0.1 0.1"), [("error", "malformed line", "train", 1)]),
    "half a class": (_with_line("1.5 0.5 0.5 0.1 0.1"), [("error", "malformed line", "train", 1)]),
    "class 3": (_with_line("3 0.5 0.5 0.1 0.1"), [("error", "class out of range", "train", 1)]),
    "class -1": (_with_line("-1 0.5 0.5 0.1 0.1"), [("error", "class out of range", "train", 1)]),
    "pixels": (_with_line("0 50 50 10 10"), [("error", "box outside the image", "train", 1)]),
    "centre outside": (
        _with_line("0 1.011 0.5 0.2 0.1"),
        [("error", "box outside the image", "train", 1)],
    ),
    "over the edge": (
        _with_line("0 0.95 0.5 0.2 0.1"),
        [("warning", "box over the edge", "train", 1)],
    ),
    "negative width": (
        _with_line("0 0.5 0.5 -0.1 0.1"),
        [("error", "degenerate box", "train", 1)],
    ),
    "no width": (_with_line("0 0.5 0.5 0 0.1"), [("error", "degenerate box", "train", 1)]),
    "line twice": (_repeated_line, [("warning", "duplicate box", "train", 1)]),
    "polygon": (
        _with_content(b"0 0.11 0.1 0.21 0.1 0.21 0.2"),
        [("warning", "segment given as a box", "train", 1)],
    ),
    "polygon among boxes": (
        _with_line("0 0.11 0.1 0.21 0.1 0.21 0.2"),
        [
            ("error", "boxes and polygons in one file", "train", 1),
            ("warning", "segment given as a box", "train", 1),
        ],
    ),
    "byte order mark": (_with_content(b"\xef\xbb\xbf0 0.5 0.5 0.1 0.1"), []),
    "latin-1": (
        _with_content(b"0 0.5 0.5 0.1 0.1 caf\xe9"),
        [("error", "malformed line", "train", 1)],
    ),
    "leak": (
        lambda image: _copied_to(image, _other_split(image)),
        [("error", "same image in two splits", None, 1)],
    ),
    "repeated": (
        lambda image: _copied_to(image, image.parent),
        [("warning", "same image twice in a split", "train", 1)],
    ),
    "near leak": (_reencoded, [("warning", "nearly the same image in two splits", None, 1)]),
    "classes unseen": (
        _relabelled("val", "0 0.5 0.5 0.4 0.4\n"),
        [("warning", "class without instances", "val", 2)],
    ),
    "unbalanced": (_unbalanced, [("warning", "imbalanced classes", "train", 1)]),
    "no labels": (_relabelled("val", ""), [("error", "no labels", "val", 1)]),
}

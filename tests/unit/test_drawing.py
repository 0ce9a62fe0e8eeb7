from __future__ import annotations

import numpy as np
import pytest
import supervision as sv
from numpy.typing import NDArray

from worker.drawing import PALETTE, draw_boxes, text_colour

# A track whose label is white on dark: its text can be counted on a grey picture.
_DARK_TRACK = next(n for n, c in enumerate(PALETTE.colors) if text_colour(c) == sv.Color.WHITE)


def _draw(width: int, height: int, box: tuple[float, ...], track: int) -> NDArray[np.uint8]:
    return draw_boxes(
        np.full((height, width, 3), 128, np.uint8),
        np.array([box], np.float32),
        np.array([track], np.int32),
        [f"#{track} watermelon 0.87"],
    )


def _pixels(image: NDArray[np.uint8], bgr: tuple[int, int, int]) -> int:
    return int((image == bgr).all(axis=2).sum())


def _text_pixels(image: NDArray[np.uint8]) -> int:
    return int((image > 160).all(axis=2).sum())


@pytest.mark.parametrize(
    ("background", "expected"),
    [
        ("#000000", sv.Color.WHITE),
        ("#ffffff", sv.Color.BLACK),
        ("#ffff00", sv.Color.BLACK),
        ("#0000ff", sv.Color.WHITE),
    ],
)
def test_labels_are_black_on_light_and_white_on_dark(background: str, expected: sv.Color) -> None:
    assert text_colour(sv.Color.from_hex(background)) == expected


def test_a_track_keeps_its_colour_and_its_neighbour_has_another() -> None:
    box = (100, 100, 200, 200)
    this, again, other = (_draw(640, 360, box, track) for track in (3, 3, 4))

    assert np.array_equal(this, again)
    assert _pixels(this, PALETTE.by_idx(3).as_bgr()) > 500
    assert _pixels(other, PALETTE.by_idx(3).as_bgr()) == 0


@pytest.mark.parametrize(("width", "height"), [(640, 360), (1920, 1080)])
@pytest.mark.parametrize("x", [-20, 0, 1])
@pytest.mark.parametrize("y", [-20, 0, 1])
def test_a_label_stays_inside_the_picture(width: int, height: int, x: float, y: float) -> None:
    """The box lies at a corner or edge: `x` and `y` are 0 left and above, 1 right and below."""
    left, top = min(x * width, width - 30), min(y * height, height - 30)
    middle = _draw(width, height, (width / 3, height / 2, width / 2, height / 1.5), _DARK_TRACK)

    at_the_edge = _draw(width, height, (left, top, left + 25, top + 25), _DARK_TRACK)

    assert _text_pixels(middle) > 200
    assert _text_pixels(at_the_edge) == pytest.approx(_text_pixels(middle), rel=0.01)


def test_lines_and_text_grow_with_the_picture() -> None:
    small = _draw(640, 360, (200, 150, 300, 250), _DARK_TRACK)
    large = _draw(1920, 1080, (600, 450, 900, 750), _DARK_TRACK)
    colour = PALETTE.by_idx(_DARK_TRACK).as_bgr()

    assert _pixels(large[600:601], colour) >= 1.5 * _pixels(small[200:201], colour)
    assert _text_pixels(large) > 2 * _text_pixels(small)


def test_a_frame_without_tracks_is_left_as_it_is() -> None:
    image = np.full((360, 640, 3), 128, np.uint8)

    draw_boxes(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int32), [])

    assert (image == 128).all()


def test_names_of_other_alphabets_are_written_as_they_are() -> None:
    blank = np.full((360, 640, 3), 128, np.uint8)
    box, track = np.array([[200, 150, 300, 250]], np.float32), np.array([_DARK_TRACK], np.int32)
    drawn = [draw_boxes(blank.copy(), box, track, [text]) for text in ("Äpfel", "?pfel", "Żpfel")]
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize("name", ["banana\nsplit", "a\r", "\n", "", "a\0b", "\u202e"])
def test_a_class_may_have_any_name(name: str) -> None:
    image = np.full((360, 640, 3), 128, np.uint8)
    box = np.array([[200, 150, 300, 250]], np.float32)
    draw_boxes(image, box, np.array([_DARK_TRACK], np.int32), [name])
    assert _pixels(image, PALETTE.by_idx(_DARK_TRACK).as_bgr()) > 500


def test_a_label_larger_than_the_picture_is_cut_off() -> None:
    image = np.full((10, 20, 3), 128, np.uint8)
    box = np.array([[2, 2, 8, 8]], np.float32)
    assert draw_boxes(image, box, np.array([0], np.int32), ["watermelon"]).shape == (10, 20, 3)

"""The kinds of errors that a detector makes, and the sizes of the objects that it makes them on."""

from __future__ import annotations

from enum import StrEnum


class ErrorKind(StrEnum):
    """The six main errors of TIDE (Bolya et al., 2020, https://arxiv.org/abs/2008.08115)."""

    WRONG_CLASS = "wrong class"
    """In the right place: its IoU with an object of another class is 0.5 or more."""
    POOR_LOCALISATION = "poor localisation"
    """Of the right class, with an IoU from 0.1 to below 0.5."""
    BOTH = "both"
    """Of another class, and in a wrong place."""
    DUPLICATE = "duplicate"
    """Right, but a more confident one of the same object was counted already."""
    BACKGROUND = "background"
    """Nothing is there: its IoU with every object is 0.1 or less."""
    MISSED = "missed"
    """An object that is not found, nor seen as another class or in a wrong place."""


class BoxSize(StrEnum):
    """Sizes of objects by the area of their box in the image, as COCO has them."""

    SMALL = "small"
    """Less than 32 x 32 pixels."""
    MEDIUM = "medium"
    """Less than 96 x 96 pixels."""
    LARGE = "large"

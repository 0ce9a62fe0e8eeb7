"""Text from outside, fit to be printed: names of files hold whatever anybody put into them."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text on one line and with nothing in it that a terminal obeys, as `\n` for a line break.

    A file may have any name.
    """
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )

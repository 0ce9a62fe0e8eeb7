"""The same image, or nearly the same, in two places of a data set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

# Of 64 bits: re-encoded, resized and slightly retouched copies of a photograph stay within this,
# and different photographs of the same shelf mostly do not.
MAX_DISTANCE = 3

_BAND_BITS = 16


def same(keys: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of positions with the same key; each position after the first of its key, once."""
    first: dict[str, int] = {}
    for position, key in enumerate(keys):
        if key in first:
            yield first[key], position
        else:
            first[key] = position


def similar(hashes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs of positions whose 64-bit hashes differ in at most `MAX_DISTANCE` bits.

    Two such hashes agree in at least one of four bands of 16 bits, since three differences cannot
    touch all four: so only those that share a band are compared.
    """
    found: set[tuple[int, int]] = set()
    first: dict[int, int] = {}
    for position, value in enumerate(hashes):
        # Black pictures are many: each is compared with the first alone.
        if (known := first.setdefault(value, position)) != position:
            found.add((known, position))
    for band in range(64 // _BAND_BITS):
        bucket: dict[int, list[int]] = defaultdict(list)
        for value, position in first.items():
            bucket[value >> (band * _BAND_BITS) & (2**_BAND_BITS - 1)].append(position)
        for positions in bucket.values():
            for one, other in combinations(positions, 2):
                if (hashes[one] ^ hashes[other]).bit_count() <= MAX_DISTANCE:
                    found.add((one, other))
    yield from sorted(found)

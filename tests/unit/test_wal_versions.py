"""In which releases of SQLite the write-ahead log is safe: https://sqlite.org/wal.html."""

from __future__ import annotations

import pytest

from db.dialect import wal_is_safe


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 7, 0), False),
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 44, 9), True),
        ((3, 45, 0), False),
        ((3, 49, 2), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 50, 12), True),
        ((3, 51, 0), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), True),
        ((3, 60, 1), True),
        ((4, 0, 0), True),
    ],
)
def test_the_write_ahead_log_is_used_only_from_the_mended_release_of_each_line(
    version: tuple[int, int, int], safe: bool
) -> None:
    assert wal_is_safe(version) is safe

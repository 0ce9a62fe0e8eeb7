"""A Parquet file written row by row, however many there are."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl

# Some MB at a time.
_ROWS_AT_ONCE = 50_000


class RowFile:
    """Writes rows to `path`, which appears when the `with` ends well."""

    def __init__(self, path: Path, schema: pl.Schema) -> None:
        self._path = path
        self._schema = schema
        self._parts = path.with_name(f".{path.name}.parts")
        self._written = 0
        self._rows: list[tuple[Any, ...]] = []

    def __enter__(self) -> Self:
        self._parts.mkdir()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._write_part()
                # Polars cannot append to a Parquet file, but it streams many into one.
                joined = self._parts / "joined"
                pl.scan_parquet(self._parts / "*.parquet").sink_parquet(joined)
                joined.replace(self._path)
        finally:
            shutil.rmtree(self._parts, ignore_errors=True)

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows after those added before, values in the order of the schema."""
        self._rows.extend(rows)
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._write_part()

    def _write_part(self) -> None:
        table = pl.DataFrame(self._rows, schema=self._schema, orient="row")
        table.write_parquet(self._parts / f"{self._written:06}.parquet")
        self._written += 1
        self._rows.clear()

"""A Parquet file written table by table or row by row, however many there are."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl

# Some MB at a time.
_ROWS_AT_ONCE = 50_000


class TableFile:
    """Writes tables to `path`, one after the other; it appears when the `with` ends well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts = path.with_name(f".{path.name}.parts")
        self._written = 0

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
                self._flush()
                # Polars cannot append to a Parquet file, but it streams many into one.
                joined = self._parts / "joined"
                pl.scan_parquet(self._parts / "*.parquet").sink_parquet(joined)
                joined.replace(self._path)
        finally:
            shutil.rmtree(self._parts, ignore_errors=True)

    def add_table(self, table: pl.DataFrame) -> None:
        """Add a table after those added before, of the same columns."""
        table.write_parquet(self._parts / f"{self._written:06}.parquet")
        self._written += 1

    def _flush(self) -> None:
        """Write what was not written yet."""


def write_tables(path: Path, tables: Iterable[pl.DataFrame]) -> None:
    """Write tables one after the other into a file, one of them in memory at a time."""
    with TableFile(path) as file:
        for table in tables:
            file.add_table(table)


class RowFile(TableFile):
    """Writes rows to `path`; it appears when the `with` ends well."""

    def __init__(self, path: Path, schema: pl.Schema) -> None:
        super().__init__(path)
        self._schema = schema
        self._rows: list[tuple[Any, ...]] = []

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows after those added before, values in the order of the schema."""
        self._rows.extend(rows)
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        self.add_table(pl.DataFrame(self._rows, schema=self._schema, orient="row"))
        self._rows.clear()

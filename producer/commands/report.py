"""`nightshelf report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from producer.reporting import ReportName

app = typer.Typer(
    help="What a `track` job found. The same numbers are views in the database: "
    "`track_report`, `track_totals`, `track_quality`, `count_report`.",
    no_args_is_help=True,
)

JobId = Annotated[int, typer.Argument(help="The job's number.", metavar="JOB")]
Csv = Annotated[bool, typer.Option("--csv", help="The rows as CSV.")]
Json = Annotated[bool, typer.Option("--json", help="Everything as JSON.")]
Parquet = Annotated[
    Path | None, typer.Option(help="Write the rows to this Parquet file.", metavar="FILE")
]


@app.command()
def tracks(
    job_id: JobId, as_csv: Csv = False, as_json: Json = False, parquet: Parquet = None
) -> None:
    """Every track: id, class, frames (numbered from 0), duration; with totals and quality.

    Example: `nightshelf report tracks 17 --csv > tracks.csv`
    """
    _print("tracks", job_id, as_csv, as_json, parquet)


@app.command()
def counts(
    job_id: JobId, as_csv: Csv = False, as_json: Json = False, parquet: Parquet = None
) -> None:
    """Every class: tracks, the most at one moment, and how many were visible on average.

    A raw number of tracks counts a product again at every identity switch; `peak_simultaneous`
    and `mean_visible` do not.
    """
    _print("counts", job_id, as_csv, as_json, parquet)


def _print(
    name: ReportName, job_id: int, as_csv: bool, as_json: bool, parquet: Path | None
) -> None:
    from db.errors import UsageError
    from producer import console
    from producer.reporting import report

    if as_csv + as_json + (parquet is not None) > 1:
        raise UsageError("--csv, --json and --parquet exclude each other: choose one")
    found = report(name, job_id)
    if as_json:
        console.print_json(found.as_dict())
    elif as_csv:
        typer.echo(found.csv(), nl=False)
    elif parquet is not None:
        found.write_parquet(parquet)
        typer.echo(f"{len(found.rows.rows)} rows written to {parquet}", err=True)
    else:
        console.print_report(found)

"""`nightshelf report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from producer.reporting import ReportName

app = typer.Typer(
    help="What jobs found, as a table, CSV, JSON, Parquet, or a page with plots. The same numbers "
    "are views in the database.",
    no_args_is_help=True,
)

JobId = Annotated[int, typer.Argument(help="The job's number.", metavar="JOB")]
Csv = Annotated[bool, typer.Option("--csv", help="The rows as CSV.")]
Json = Annotated[bool, typer.Option("--json", help="Everything as JSON.")]
Parquet = Annotated[
    Path | None, typer.Option(help="Write the rows to this Parquet file.", metavar="FILE")
]
Html = Annotated[
    Path | None, typer.Option(help="Write a page with plots to this file.", metavar="FILE")
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


@app.command()
def models(
    as_csv: Csv = False, as_json: Json = False, parquet: Parquet = None, html: Html = None
) -> None:
    """Every model that was evaluated: its best evaluation on each split, and its rank there.

    Example: `nightshelf report models --html models.html`
    """
    _print("models", None, as_csv, as_json, parquet, html)


@app.command()
def training(
    job_id: JobId,
    as_csv: Csv = False,
    as_json: Json = False,
    parquet: Parquet = None,
    html: Html = None,
) -> None:
    """Every epoch of a training: losses, metrics, seconds; of one that goes on, those so far."""
    _print("training", job_id, as_csv, as_json, parquet, html)


@app.command()
def evaluation(
    job_id: JobId,
    as_csv: Csv = False,
    as_json: Json = False,
    parquet: Parquet = None,
    html: Html = None,
) -> None:
    """Every class of an evaluation, and the mean over them; with JSON and plots by confidence."""
    _print("evaluation", job_id, as_csv, as_json, parquet, html)


@app.command()
def errors(
    job_id: JobId,
    as_csv: Csv = False,
    as_json: Json = False,
    parquet: Parquet = None,
    html: Html = None,
) -> None:
    """Every kind of error in an evaluation or a comparison, and what it costs in mAP50.

    Of an evaluation, which classes are taken for which, and which sizes are missed, too.
    """
    _print("errors", job_id, as_csv, as_json, parquet, html)


@app.command()
def detections(
    job_id: JobId,
    as_csv: Csv = False,
    as_json: Json = False,
    parquet: Parquet = None,
    html: Html = None,
) -> None:
    """Every box that a `predict` job saw: image, class, confidence, corners in pixels."""
    _print("detections", job_id, as_csv, as_json, parquet, html)


def _print(
    name: ReportName,
    job_id: int | None,
    as_csv: bool,
    as_json: bool,
    parquet: Path | None,
    html: Path | None = None,
) -> None:
    from db.errors import UsageError
    from producer import console
    from producer.reporting import report

    if as_csv + as_json + (parquet is not None) + (html is not None) > 1:
        raise UsageError("--csv, --json, --parquet and --html exclude each other: choose one")
    found = report(name, job_id)
    if as_json:
        console.print_json(found.as_dict())
    elif as_csv:
        typer.echo(found.csv(), nl=False)
    elif parquet is not None:
        found.write_parquet(parquet)
        typer.echo(f"{len(found.rows.rows)} rows written to {parquet}", err=True)
    elif html is not None:
        from producer.report_page import page  # Matplotlib: a second

        html.write_text(page(found), encoding="utf-8")
        typer.echo(f"written to {html}", err=True)
    else:
        console.print_report(found)

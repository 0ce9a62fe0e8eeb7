"""The command line: which commands there are, and what becomes of an error."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from db.errors import NightshelfError
from producer.commands import (
    compare,
    database,
    dataset,
    doctor,
    evaluate,
    health,
    jobs,
    metrics,
    models,
    predict,
    report,
    services,
    track,
    train,
)
from producer.exit_codes import ExitCode

app = typer.Typer(
    name="nightshelf",
    help="Turn recorded footage into inventory numbers overnight.",
    epilog="First: `nightshelf up`. Then, in another terminal: "
    "`nightshelf models add yolov8n.pt --name coco` and "
    "`nightshelf track footage/ --model coco --wait`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command("up")(services.up)
app.command("track")(track.track)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("predict")(predict.predict)
app.add_typer(jobs.app, name="jobs")
app.add_typer(models.app, name="models")
app.add_typer(dataset.app, name="dataset")
app.add_typer(report.app, name="report")
app.command("worker")(services.worker)
app.command("reconcile")(services.reconcile)
app.command("flower")(services.flower)
app.command("metrics")(metrics.metrics)
app.command("healthy")(health.healthy)
app.add_typer(database.app, name="db")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run a command; an error is one line on standard error (`ExitCode` names the codes)."""
    try:
        app()
    except (NightshelfError, OSError) as error:
        _end(error)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:
        from sqlalchemy.exc import OperationalError

        if not isinstance(error, OperationalError):
            raise
        # It answered when the command began, and its schema was checked.
        from db.schema import unreachable

        _end(unreachable(error))


def _end(error: Exception) -> NoReturn:
    typer.echo(f"nightshelf: {error}", err=True)
    sys.exit(ExitCode.ERROR)

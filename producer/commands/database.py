"""`nightshelf db`."""

from __future__ import annotations

import typer

app = typer.Typer(help="The database.", no_args_is_help=True)


@app.callback()
def _db() -> None:
    """The database."""


@app.command()
def upgrade() -> None:
    """Bring the schema and the report views up to this version's.

    Example: `NIGHTSHELF_DATABASE_URL=postgresql+psycopg://… nightshelf db upgrade`
    """
    from db import schema
    from db.dialect import engine
    from db.settings import settings

    before, after = schema.upgrade(engine(settings().database))
    if before == after:
        typer.echo(f"The schema is up to date ({after}).")
    else:
        typer.echo(f"The schema was brought from {before or 'nothing'} to {after}.")

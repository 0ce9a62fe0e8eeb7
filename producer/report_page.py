"""A report as one HTML file, with its plots in it."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader

from db import reports
from db.report_columns import labelled
from db.reports import Rows
from producer.report_plots import plots
from producer.reporting import VIEWS, Report

_PAGES = Environment(
    loader=PackageLoader("producer", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
# A browser is slow with more; the rest is in the CSV and the Parquet file.
_ROWS = 1000


def page(report: Report) -> str:
    """The report, as HTML that needs nothing beside it."""
    tables = {report.name: report.rows, **report.tables}
    return _PAGES.get_template("report.html.j2").render(
        name=report.name,
        job_id=report.job_id,
        description=reports.load(VIEWS[report.name]).description,
        summaries={title: list(one.items()) for title, one in report.summaries.items()},
        plots=[(title, base64.b64encode(png).decode()) for title, png in plots(report)],
        tables={title: _cut(rows) for title, rows in tables.items()},
        shown=_shown,
        numeric=lambda value: isinstance(value, int | float),
    )


def _cut(rows: Rows) -> dict[str, Any]:
    left_out = max(0, len(rows.rows) - _ROWS)
    shown = labelled(rows.columns, rows.rows[:_ROWS])
    return {"columns": rows.columns, "rows": shown, "left_out": left_out}


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return str(value)

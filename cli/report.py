"""`report`: what happened, for those who were not there."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import IncidentId, Json
from cli.output import Output


def report(
    incident: IncidentId,
    html: Annotated[
        str | None,
        typer.Option(
            "--html",
            metavar="FILE|-",
            help="Write it as one HTML file instead; - is stdout. Only an earlier report is replaced.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Print the report of an incident as Markdown; of one that still runs, how it would read now.

    Example: `firebreak report f2c3859c --html report.html`
    """
    from cli.connect import run_async
    from cli.reporting import print_report, write_page

    if html is not None:
        return run_async(write_page(incident, html, Output(json)))
    return run_async(print_report(incident, Output(json)))

"""`report`: what happened, for those who were not there."""

from __future__ import annotations

from cli.options import IncidentId, Json
from cli.output import Output


def report(incident: IncidentId, json: Json = False) -> int:
    """Print the report of an incident as Markdown; of one that still runs, how it would read now.

    Example: `firebreak report f2c3859c > report.md`
    """
    from cli.connect import run_async
    from cli.reporting import print_report

    return run_async(print_report(incident, Output(json)))

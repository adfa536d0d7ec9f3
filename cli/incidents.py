"""`start`, `list`, `show`, `watch`: incidents."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import FindingFile, IncidentId, Json
from cli.output import Output
from errors import InputError


def start(
    file: FindingFile,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the incident is over, or until --timeout is.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", help="With --wait: how long to stay.", show_default=False),
    ] = None,
    act_on_sample: Annotated[
        bool, typer.Option("--act-on-sample", help="Treat a sample finding as a real one.")
    ] = False,
    json: Json = False,
) -> int:
    """Start the incident of a finding; one finding never has two that run.

    A finding whose incident runs already is handed to it. One whose incident is over starts a new one only if GuardDuty
    has seen the activity again since.

    With --wait the exit code tells the end: 0 remediated or released, 1 failed, 4 denied or expired; 3 when the time is
    over and a person has yet to approve.

    Example: `firebreak start finding.json --wait --timeout 60`
    """
    output = Output(json)
    if timeout is not None and not wait:
        raise InputError("--timeout", "to be used with --wait")
    if timeout is not None and timeout <= 0:
        raise InputError("--timeout", "a positive number of seconds", f"{timeout:g}")

    from cli.connect import run_async
    from cli.findings import read_given
    from cli.starting import start_all

    given = read_given(file, output)
    return run_async(start_all(given, output, wait=wait, timeout=timeout, act_on_sample=act_on_sample))


def list_(
    all_: Annotated[bool, typer.Option("--all", help="Closed incidents too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many, the newest first.")] = 50,
    json: Json = False,
) -> int:
    """List the open incidents, the newest first. No worker is needed for it.

    Example: `firebreak list --all`
    """
    from cli.connect import run_async
    from cli.listing import list_incidents

    return run_async(list_incidents(Output(json), closed=all_, limit=limit))


def show(incident: IncidentId, json: Json = False) -> int:
    """Show one incident: targets, gates with the command that approves, changes, evidence, failures.

    When no worker answers it shows what Temporal itself knows, and says so.

    Example: `firebreak show f2c3859c`
    """
    from cli.connect import run_async
    from cli.listing import show_incident

    return run_async(show_incident(incident, Output(json)))


def watch(incident: IncidentId, json: Json = False) -> int:
    """Follow one incident live until it is over; Ctrl-C stops watching and nothing else.

    With --json it prints one document a line, whenever something changed.

    Example: `firebreak watch f2c3859c`
    """
    from cli.connect import run_async
    from cli.watching import watch_incident

    return run_async(watch_incident(incident, Output(json)))

"""`evidence list`, `evidence get`, `evidence verify`: the chain of custody of one incident."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import IncidentId, Json
from cli.output import Output

app = typer.Typer(help="The evidence of an incident: list it, fetch it, verify it.", add_completion=False)


@app.command("list")
def list_(incident: IncidentId, json: Json = False) -> int:
    """List what was collected, and what could not be.

    Example: `firebreak evidence list f2c3859c`
    """
    from cli.connect import run_async
    from cli.custody import list_evidence

    return run_async(list_evidence(incident, Output(json)))


@app.command("get")
def get(
    incident: IncidentId,
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="One artefact, as `evidence list` shows it; all when left out.")
    ] = "",
    folder: Annotated[
        str, typer.Option("--to", metavar="FOLDER", help="Where to; files that are there are never overwritten.")
    ] = "evidence-copy",
    json: Json = False,
) -> int:
    """Copy evidence into a folder. What does not have its recorded hash is not written.

    Example: `firebreak evidence get f2c3859c --to ./f2c3859c`
    """
    from cli.connect import run_async
    from cli.custody import get_evidence

    return run_async(get_evidence(incident, key, folder, Output(json)))


@app.command("verify")
def verify(incident: IncidentId, json: Json = False) -> int:
    """Compute every hash again and compare: artefacts, manifests, and the head that Temporal knows.

    Exit code 1 when anything was changed, removed or added.

    Example: `firebreak evidence verify f2c3859c`
    """
    from cli.connect import run_async
    from cli.custody import verify_evidence

    return run_async(verify_evidence(incident, Output(json)))

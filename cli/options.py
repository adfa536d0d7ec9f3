"""Options and arguments that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout; progress goes to stderr.")]
IncidentId = Annotated[
    str,
    typer.Argument(metavar="ID", help="The workflow id, the finding id, or its first characters.", show_default=False),
]
FindingFile = Annotated[
    str,
    typer.Argument(metavar="FILE|-", help="A file with findings as JSON; - reads stdin.", show_default=False),
]
GateName = Annotated[
    str,
    typer.Argument(
        metavar="GATE",
        help="contain, credentials, eradicate or terminate; needed if several wait.",
        show_default=False,
    ),
]
Reason = Annotated[
    str, typer.Option("--reason", help="Why, in a sentence; it stands in the record.", show_default=False)
]
By = Annotated[
    str, typer.Option("--by", help="Who decides; your user and host name when left out.", show_default=False)
]
StackName = Annotated[str, typer.Option("--name", help="The embedded stack's name; several run side by side.")]

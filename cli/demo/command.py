"""`demo`: the main job on the embedded stack."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Json
from cli.output import Output


def demo(
    approve: Annotated[
        str,
        typer.Option(
            "--approve", envvar="APPROVE", metavar="ask|auto", help="Ask at the approval, or approve by itself."
        ),
    ] = "ask",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running, to look around.")] = False,
    json: Json = False,
) -> int:
    """Show the main job, from a finding to the report, on this machine and without AWS.

    Example: `firebreak demo`
    """
    from cli.demonstration import demonstrate

    return demonstrate(approve, keep=keep, output=Output(json))

"""`demo`: incidents on the embedded stack."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Json
from cli.output import Output


def demo(
    path: Annotated[
        str,
        typer.Option("--path", metavar="PATH", help="pod, configuration, user, image, node, or all."),
    ] = "pod",
    approve: Annotated[
        str,
        typer.Option(
            "--approve", envvar="APPROVE", metavar="ask|auto", help="Ask at the approval, or approve by itself."
        ),
    ] = "ask",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running, to look around.")] = False,
    json: Json = False,
) -> int:
    """Show an incident, from a finding to the report and back by a release, on this machine and without AWS.

    Example: `firebreak demo`, or `firebreak demo --path all --approve auto`
    """
    from cli.demo.run import demonstrate

    return demonstrate(path, approve, keep=keep, output=Output(json))

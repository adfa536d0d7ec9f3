"""`doctor`: what this installation can and cannot do, with the fix."""

from __future__ import annotations

from cli.options import Json
from cli.output import Output


def doctor(json: Json = False) -> int:
    """Check everything that an incident will need, and say how to fix what is missing. It changes nothing.

    Exit code 1 when a check fails; a warning is something that works and should be known.

    Example: `firebreak doctor`
    """
    from cli.checking import examine

    return examine(Output(json))

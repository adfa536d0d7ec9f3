"""The exit codes, and the one helper through which every command ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from enum import IntEnum
from typing import NoReturn


class Code(IntEnum):
    """What a command's exit code means. docs/reference/cli.md lists them per command."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    WAITING = 3
    """For approval, when the time given with --timeout was over."""
    REFUSED = 4
    """A person denied, or the deadline passed."""


_WORST_FIRST = (Code.FAILED, Code.BAD_INPUT, Code.REFUSED, Code.WAITING, Code.DONE)


def worst(codes: Iterable[int]) -> Code:
    """The one code for several incidents: failed, then bad input, then denied or expired, then waiting, then done."""
    given = set(codes)
    return next((code for code in _WORST_FIRST if code in given), Code.DONE)


def end(code: int) -> NoReturn:
    """Flush what was printed and leave at once.

    The interpreter's own exit is passed over, because Temporal's SDK can abort in it after all work is done (issue 300
    of temporalio/sdk-python): a command that succeeded would then report a crash.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # Whoever read our output has gone away; there is nobody left to tell.
            continue
    os._exit(code)

"""Waiting until a service that is eventually consistent shows what was just written to it.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from activities.steps import beat

PATIENCE_SECONDS: Final = 15.0
_PAUSE_SECONDS: Final = 0.5


def settled(shown: Callable[[], bool], *, written: bool) -> bool:
    """Whether a reading shows what was written; one that does not is repeated for some seconds.

    Args:
        shown: Reads.
        written: Whether every write succeeded. What was refused never shows, so it is looked at once.
    """
    end = time.monotonic() + (PATIENCE_SECONDS if written else 0)
    while not shown():
        if time.monotonic() >= end:
            return False
        beat()
        time.sleep(_PAUSE_SECONDS)
    return True

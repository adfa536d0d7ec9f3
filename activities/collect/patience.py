"""Asking AWS again for one page, instead of beginning a long reading anew.

A page that is throttled in the middle of a reading cannot be left to Temporal's retry: it would read all the pages
before once more, and be throttled again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from activities.collect.model import Deadline
from errors import FirebreakError, Throttled, Unavailable

T = TypeVar("T")
PATIENCE_SECONDS: Final = 60.0
"""For one page: AWS throttles by the second, and what is silent for a minute may be so for long."""
_FIRST_PAUSE, _LONGEST_PAUSE, _SLICE = 1.0, 16.0, 1.0


def patiently(
    ask: Callable[[], T],
    deadline: Deadline,
    *,
    seconds: float = PATIENCE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """The answer, asked for again after growing pauses while AWS throttles or does not answer.

    Args:
        ask: Asks once.
        deadline: Of the whole reading; heard from between two pauses, so that a cancelled activity ends.
        seconds: How much of it one answer may cost.
        sleep: Passes the time.

    Raises:
        Throttled, Unavailable: The patience is at its end.
        FirebreakError: Asking again would change nothing.
    """
    pause, spent = _FIRST_PAUSE, 0.0
    while True:
        began = time.monotonic()
        try:
            return ask()
        except (Throttled, Unavailable) as error:
            wanted = max(pause, _asked_for(error))
            spent += time.monotonic() - began + wanted
            if spent > seconds or wanted > deadline.left():
                raise
        _pass(wanted, deadline, sleep)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _asked_for(error: FirebreakError) -> float:
    return error.retry_after if isinstance(error, Throttled) else 0.0


def _pass(seconds: float, deadline: Deadline, sleep: Callable[[float], None]) -> None:
    """In slices, because a heartbeat is expected in between."""
    while seconds > 0:
        sleep(min(seconds, _SLICE))
        seconds -= _SLICE
        deadline.left()

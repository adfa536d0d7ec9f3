"""Evidence gives way to containment: in a storm its collection begins when the hot path has calmed down.

Both live on the same processor, Temporal server and API server. What is to be collected does not go away meanwhile,
because held pods cannot be deleted or entered; and the wait is bounded, so that a storm cannot keep evidence from being
taken.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

BUSY: Final = 6
"""So many activities of the hot path within the window are a storm; one incident has three."""
WINDOW: Final = 2.0
"""In seconds."""
LONGEST: Final = 30.0
"""Seconds that one collection waits at most; shorter than its heartbeat timeout."""
_LOOK: Final = 0.25


class GiveWay:
    """What a worker knows of its hot path. Belongs to the worker's event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: deque[float] = deque(maxlen=BUSY)

    def hot_begins(self) -> None:
        """An activity of the hot path begins."""
        self._begun.append(self._clock())

    @property
    def busy(self) -> bool:
        """Whether many of them began just now."""
        return len(self._begun) == BUSY and self._clock() - self._begun[0] < WINDOW

    async def calm(self) -> None:
        """Wait until the hot path has calmed down, or long enough."""
        end = self._clock() + LONGEST
        while self.busy and self._clock() < end:
            await asyncio.sleep(_LOOK)

"""How much was collected so far, for heartbeats and people who wait. In the end the list of entries counts."""

from __future__ import annotations

import threading
from typing import NamedTuple

from evidence.entry import Entry


class SoFar(NamedTuple):
    """What was collected, and what could not be."""

    artefacts: int
    bytes: int
    failures: int


class Counts:
    """Counts entries as they are made. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._artefacts = self._bytes = self._failures = 0

    def entry(self, entry: Entry) -> None:
        """Count an artefact, or a failure."""
        if entry.collected:
            self.artefact(entry.size)
        else:
            with self._lock:
                self._failures += 1

    def artefact(self, size: int) -> None:
        """Count something that was stored."""
        with self._lock:
            self._artefacts += 1
            self._bytes += size

    def so_far(self) -> SoFar:
        """The numbers, all of one moment."""
        with self._lock:
            return SoFar(self._artefacts, self._bytes, self._failures)

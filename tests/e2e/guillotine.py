"""Kills a worker at one chosen change: once right before it is made, and once right after."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.e2e.processes import WorkerProcess
from tests.e2e.relay import Call


class Guillotine:
    """Hooks for a relay. The worker dies before the chosen change reaches the server; the one that is started in its
    place dies as soon as the server has made the next change, before the answer reaches it.

    Calls of a dead worker that still hang in the relay's threads are dropped: a crash takes them along as well.
    """

    def __init__(self, chosen: int, counts: Callable[[Call], bool], revive: Callable[[], WorkerProcess]) -> None:
        self._chosen = chosen
        self._counts = counts
        self._revive = revive
        self._lock = threading.RLock()
        self._seen = 0
        self._dead = False
        self.deaths: list[str] = []
        self.worker = revive()

    def before(self, call: Call) -> bool:
        """Whether the call reaches the server."""
        with self._lock:
            if self._dead:
                return False
            if not self._counts(call):
                return True
            self._seen += 1
            if self._seen == self._chosen and not self.deaths:
                self._kill(f"before {call.method} {call.path}")
                return False
            return True

    def after(self, call: Call) -> bool:
        """Whether the answer reaches the worker."""
        with self._lock:
            if self._dead:
                return False
            if len(self.deaths) == 1 and self._counts(call) and call.made:
                self._kill(f"after {call.method} {call.path}")
                return False
            return True

    def lets_pass(self, call: Call) -> bool:
        """The hook of a relay at which nobody dies: a dead worker sends nothing through it either."""
        with self._lock:
            return not self._dead

    @property
    def done(self) -> bool:
        """Whether it has killed twice."""
        return len(self.deaths) == 2

    def revive(self) -> None:
        """Start a new worker if the last one was killed."""
        with self._lock:
            if self._dead:
                self.worker = self._revive()
                self._dead = False

    def end(self) -> None:
        """End the worker for good."""
        with self._lock:
            self._dead = True
            self.worker.kill()

    def _kill(self, when: str) -> None:
        self._dead = True
        self.deaths.append(when)
        self.worker.kill()

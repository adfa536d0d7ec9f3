"""Whether changes are held: read beside an incident, because a paused one looks as if it were stuck.

The switch stands in the cluster, and a person who looks at an incident may have no way to that. So it is asked for in a
thread of its own that nobody waits for longer than `PATIENCE`; what cannot be read is not said.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from cli.reading import Held, Reading
from cli.text import clean, moment
from errors import FirebreakError

if TYPE_CHECKING:
    from clients.kubernetes import Kubernetes

PATIENCE = 2.0
"""Seconds from the beginning of the first read after which an answer is not waited for any more."""
_INTERVAL = 1.0
_CALL = (1.0, 1.0)
"""Seconds to connect and to read, shorter than elsewhere."""


class PauseReader:
    """Reads the pause switch again and again while it is open; `once` reads it a single time."""

    def __init__(self, *, once: bool = False) -> None:
        self._once = once
        self._began = time.monotonic()
        self._answered = threading.Event()
        self._closed = threading.Event()
        self._held: Held | None = None

    def __enter__(self) -> PauseReader:
        """Begin to read. The thread is a daemon: a cluster that does not answer keeps no command from ending."""
        threading.Thread(target=self._read_on, name="pause", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reading."""
        self._closed.set()

    def seen(self, reading: Reading) -> Reading:
        """The reading of an open incident with the pause as it was last seen."""
        return replace(reading, held=self._held) if reading.open else reading

    def wait(self) -> None:
        """Until the first answer, or until patience is at an end."""
        self._answered.wait(max(0.0, self._began + PATIENCE - time.monotonic()))

    def _read_on(self) -> None:
        try:
            # Loading the client takes a third of a second, in which the incident itself is being read.
            from clients.kubernetes import Kubernetes

            kubernetes = Kubernetes.from_environment(timeout=_CALL)
        except FirebreakError:
            # Without a way to the cluster there is nothing to say, now or later.
            self._answered.set()
            return
        while not self._closed.is_set():
            self._look(kubernetes)
            self._answered.set()
            if self._once:
                return
            self._closed.wait(_INTERVAL)

    def _look(self, kubernetes: Kubernetes) -> None:
        from activities.control import read_pause
        from settings import load_settings

        try:
            found = read_pause(kubernetes, load_settings().namespace)
        except FirebreakError:
            # What was seen last is the best that is known.
            return
        self._held = Held(found.by, found.reason, found.at) if found is not None else None


def pause_banner(held: Held) -> str:
    """Who holds every change, since when, why, and how it goes on."""
    since = f" since {_moment(held.at)}" if held.at else ""
    why = f": {clean(held.reason, 300)}" if held.reason else ""
    return f"Changes are paused by {clean(held.by, 200) or 'somebody'}{since}{why}; `firebreak resume` goes on"


def _moment(text: str) -> str:
    try:
        return moment(datetime.fromisoformat(text))
    except ValueError:
        # Somebody wrote the switch by hand.
        return clean(text, 60)

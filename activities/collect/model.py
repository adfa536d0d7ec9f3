"""What a collector is: a name, a wave, and the artefacts that it can find for one pod."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from errors import Unavailable
from evidence.entry import EntrySubject, canonical

if TYPE_CHECKING:
    from activities.collect.case import PodCase


class Wave(IntEnum):
    """When a collector runs: the first wave is over for all pods before the second begins for any."""

    NODE = 0
    """What only its node sees of a container: a process or a connection is gone sooner than anything else."""
    VOLATILE = 1
    """What disappears by itself: logs rotate, events expire, pods die."""
    LASTING = 2
    """Objects that outlive the pod."""


class Deadline:
    """How long one artefact may take. Checked between two calls and between two chunks; each read has its own timeout.

    Args:
        seconds: From now.
        beat: Called at each check: something has just arrived.
    """

    def __init__(self, seconds: float, beat: Callable[[], None]) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._beat = beat

    def check(self) -> None:
        """Raise when the time is over.

        Raises:
            Unavailable: It is.
        """
        self._beat()
        if time.monotonic() > self._end:
            raise Unavailable(f"not complete within {self.seconds:g} s")

    def left(self) -> float:
        """The seconds that are left, for a reader that ends in order when there are none; something has arrived."""
        self._beat()
        return self._end - time.monotonic()

    def watch(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks, as long as there is time."""
        for chunk in chunks:
            self.check()
            yield chunk


@dataclass
class Found:
    """The content of one artefact, and what a reader must know of it.

    Attributes:
        content: Bytes, or chunks that are read while they are stored.
        source: The call that it came from.
        subject: What it is about; the pod when None.
        redactions: JSON pointers of what was taken out.
        taken: The same for content that is read while it is stored; asked then.
        note: Asked when the content has been stored.
        close: Called in the end, also when nobody read the content, so that no connection stays open.
    """

    content: bytes | Iterable[bytes]
    source: str
    subject: EntrySubject | None = None
    redactions: tuple[str, ...] = ()
    taken: Callable[[], tuple[str, ...]] = field(default=lambda: ())
    note: Callable[[], str] = field(default=lambda: "")
    close: Callable[[], None] = field(default=lambda: None)


@dataclass(frozen=True)
class Task:
    """One artefact that a collector may find.

    Attributes:
        file: Its key below ``pods/<uid>/``: our own words and numbers, never a name from the cluster.
        kind: What it is, in the entry.
        run: Finds it; raises FirebreakError when it cannot.
        seconds: How long it may take.
        patient: Whether Unavailable and Throttled are for Temporal to retry, because the API server itself answers
            here; a node that does not answer is a fact to record instead.
    """

    file: str
    kind: str
    run: Callable[[Deadline], Found]
    seconds: float = 45.0
    patient: bool = True


@dataclass(frozen=True)
class Collector:
    """A family of artefacts. `tasks` may itself raise FirebreakError: then the collector as a whole has failed."""

    name: str
    wave: Wave
    tasks: Callable[[PodCase], Iterable[Task]]


def document(value: object) -> bytes:
    """A JSON artefact. Canonical, so that the same state of an object always has the same hash."""
    return canonical(value) + b"\n"

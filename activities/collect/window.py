"""The span of time around a finding whose events are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

LONGEST: Final = timedelta(hours=24)
"""Between the first and the last event of a finding. GuardDuty adds to a finding for as long as the activity goes on,
and an audit log of months is neither read in minutes nor needed to see what happened at the end."""


class Window(NamedTuple):
    """Milliseconds since 1970, as CloudWatch counts; `first` is when the activity began, as far as it is looked at."""

    since: int
    first: int
    until: int
    note: str = ""
    """What a reader must know of it, or empty."""

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """What is read, in its order: the activity and what followed, then what led to it.

        So that a reading which has to end early has what matters most.
        """
        before = ((self.since, self.first - 1),) if self.since < self.first else ()
        return ((self.first, self.until), *before)

    def __str__(self) -> str:
        """For people."""
        return f"{moment(self.since)} to {moment(self.until)}"


def window_around(first_seen: datetime | None, last_seen: datetime | None, margin: timedelta) -> Window:
    """The window of a finding.

    Args:
        first_seen: `service.eventFirstSeen`, if the finding says it.
        last_seen: `service.eventLastSeen`; a finding that says neither is about now.
        margin: How much before the first event and after the last one is looked at.
    """
    now = datetime.now(UTC)
    last = _milliseconds(last_seen or first_seen or now)
    first = min(_milliseconds(first_seen or last_seen or now), last)
    longest, around = (int(d.total_seconds() * 1000) for d in (LONGEST, margin))
    note = ""
    if last - first > longest:
        note = f"the finding's first event was at {moment(first)}; only the last {LONGEST.total_seconds() / 3600:g} h "
        note += "of it were looked at"
        first = last - longest
    return Window(max(0, first - around), first, last + around, note)


def moment(milliseconds: int) -> str:
    """A time for people, UTC."""
    try:
        return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds} ms"


def _milliseconds(at: datetime) -> int:
    # Not before 1970, which CloudWatch does not know.
    return max(0, int(at.timestamp() * 1000))

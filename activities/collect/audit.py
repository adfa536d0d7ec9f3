"""The cluster's audit log, as EKS writes it to CloudWatch Logs, if it does: read page by page, straight into the store.

Only `audit` among the types of control-plane logs is looked at. It is off unless somebody switched it on.
Source: https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from activities.collect.audit_selection import Selection
from activities.collect.model import Deadline, Found
from activities.collect.patience import PATIENCE_SECONDS, patiently
from activities.collect.redact_events import KeyPath, Redactions, redact_audit_event
from activities.collect.shared import failed
from activities.collect.window import Window, moment, window_around
from activities.doors import Doors
from clients.aws import Aws
from clients.aws.logs import MOST_ON_A_PAGE, LogEvent, LogPage
from errors import FirebreakError, TargetGone
from evidence.entry import EntrySubject, canonical

KIND: Final = "audit-events"
SECONDS: Final = 300.0
"""How long one reading may take. A page is what CloudWatch finds in a few seconds of searching, and may be empty."""
STREAMS: Final = "kube-apiserver-audit-"
_NOTHING: Final[tuple[bytes, list[KeyPath]]] = (b"", [])


@dataclass(frozen=True)
class Limits:
    """Where one reading ends: events and bytes that are kept, events on a page, seconds that one page may cost."""

    events: int = 10_000
    bytes: int = 64 << 20
    page: int = MOST_ON_A_PAGE
    patience: float = PATIENCE_SECONDS


class AuditLog:
    """The audit log of one cluster around one finding.

    Args:
        aws: The account and region of the cluster.
        cluster: Its name.
        window: What is looked at.
        limits: Of each reading.
    """

    def __init__(self, aws: Aws, cluster: str, window: Window, limits: Limits | None = None) -> None:
        self.aws = aws
        self.cluster = cluster
        self.window = window
        self.limits = limits or Limits()
        self._asked: tuple[bool | None, str] | None = None

    @property
    def group(self) -> str:
        """Where it is."""
        return group_of(self.cluster)

    def find(self, selection: Selection, deadline: Deadline, subject: EntrySubject | None = None) -> Found:
        """The events of a selection, as content that is read while it is stored."""
        reading = _Reading(self, selection, deadline)
        source = f"logs:FilterLogEvents of {self.group}, {STREAMS}*, {self.window}, {selection.pattern or 'no pattern'}"
        return Found(reading, source, subject, taken=lambda: reading.redactions.listed, note=reading.note)

    def is_written(self, deadline: Deadline) -> tuple[bool | None, str]:
        """Whether EKS writes the log now; None, and why, where nobody can tell. Asked once."""
        if self._asked is None:
            self._asked = self._ask(deadline)
        return self._asked

    def _ask(self, deadline: Deadline) -> tuple[bool | None, str]:
        try:
            cluster = patiently(partial(self.aws.eks.cluster, self.cluster), deadline, seconds=self.limits.patience)
        except FirebreakError as error:
            return None, failed(error)
        return is_switched_on(cluster), ""

    def page(self, selection: Selection, span: tuple[int, int], token: str) -> LogPage:
        """One page of what CloudWatch finds."""
        since, until = span
        return self.aws.logs.page(
            self.group,
            streams=STREAMS,
            pattern=selection.pattern,
            since=since,
            until=until,
            token=token,
            most=self.limits.page,
        )


def group_of(cluster: str) -> str:
    """The log group of a cluster, whose name EKS fixes."""
    return f"/aws/eks/{cluster}/cluster"


def is_switched_on(cluster: Mapping[str, Any]) -> bool:
    """Whether the audit log is among those that a cluster, as EKS describes it, writes."""
    setups = (cluster.get("logging") or {}).get("clusterLogging") or ()
    return any(s.get("enabled") and "audit" in (s.get("types") or ()) for s in setups)


def log_around(
    doors: Doors, first_seen: datetime | None, last_seen: datetime | None, limits: Limits | None = None
) -> AuditLog:
    """The audit log of this installation's cluster around a finding."""
    settings = doors.settings
    window = window_around(first_seen, last_seen, timedelta(minutes=settings.audit_margin_minutes))
    return AuditLog(doors.aws, settings.cluster, window, limits)


class _Reading:
    """One reading: the lines that are kept, and what there is to say about it afterwards."""

    def __init__(self, log: AuditLog, selection: Selection, deadline: Deadline) -> None:
        self.redactions = Redactions()
        self._log = log
        self._selection = selection
        self._deadline = deadline
        self._written: bool | None = None
        self._unknown = ""
        self._events = self._bytes = self._unreadable = 0
        self._cut = ""
        self._at = 0
        """When the last event was written that was looked at."""

    def __iter__(self) -> Iterator[bytes]:
        """The events, a line each.

        Raises:
            TargetGone: There is no such log.
            Forbidden, Throttled, Unavailable: Nothing at all could be read.
        """
        self._written, self._unknown = self._log.is_written(self._deadline)
        for page in self._pages():
            yield b"".join(self._lines(page))
            if self._cut:
                return
        if not self._events and self._written is False:
            raise TargetGone(_off(self._log.cluster))

    def note(self) -> str:
        """What the entry says of it."""
        said = [self._cut, self._log.window.note]
        said += [] if self._events or self._cut else ["no event of it was found"]
        said += [_off(self._log.cluster)] if self._written is False else []
        said += [f"whether the audit log is on could not be asked: {self._unknown}"] if self._unknown else []
        said += [f"{self._unreadable} lines are not JSON, and were left out"] if self._unreadable else []
        return "; ".join(s for s in said if s)

    def _pages(self) -> Iterator[LogPage]:
        begun = False
        for span in self._log.window.spans:
            token = ""
            while True:
                if self._deadline.left() <= 0:
                    self._end(f"after {self._deadline.seconds:g} s")
                    return
                try:
                    ask = partial(self._log.page, self._selection, span, token)
                    page = patiently(ask, self._deadline, seconds=self._log.limits.patience)
                except FirebreakError as error:
                    if begun:
                        # What is there already is worth more than the hope to get everything in another reading.
                        self._end(f"by {failed(error)}")
                        return
                    if isinstance(error, TargetGone):
                        raise TargetGone(self._missing()) from error
                    raise
                begun = True
                yield page
                if not page.token or page.token == token:
                    break
                token = page.token

    def _lines(self, page: LogPage) -> Iterator[bytes]:
        limits = self._log.limits
        for event in page.events:
            self._at = event.at
            line, taken = self._line(event)
            if not line:
                continue
            if self._events >= limits.events or self._bytes + len(line) > limits.bytes:
                what = f"{limits.events} events" if self._events >= limits.events else f"{limits.bytes} bytes"
                self._end(f"at the limit of {what}")
                return
            self.redactions.add(self._events, taken)
            self._events += 1
            self._bytes += len(line)
            yield line

    def _line(self, event: LogEvent) -> tuple[bytes, list[KeyPath]]:
        """The event as it is kept and what was taken out of it, or nothing when it is about somebody else."""
        # AWS looks into these streams only; whatever else answers in its place may not.
        if not event.stream.startswith(STREAMS):
            return _NOTHING
        try:
            found = json.loads(event.message)
            if not isinstance(found, dict) or not self._selection.wanted(found):
                return _NOTHING
            copy, taken = redact_audit_event(found)
            return canonical(copy) + b"\n", taken
        except (ValueError, RecursionError):
            # Nothing that somebody makes the API server write may cost all the other events.
            self._unreadable += 1
            return _NOTHING

    def _end(self, why: str) -> None:
        """Whoever reads it must know from where on something may be missing."""
        end = f", after the event of {moment(self._at)}" if self._at else ""
        self._cut = (
            f"cut {why}{end}: the log was read from {moment(self._log.window.first)} on, then what was before it"
        )

    def _missing(self) -> str:
        if self._written is False:
            return _off(self._log.cluster)
        return f"the log group {self._log.group} does not exist, or has no stream {STREAMS}*"


def _off(cluster: str) -> str:
    return f"the audit log of the cluster {cluster} is off: switch the control-plane log type `audit` on"

"""Makes recorded changes and undoes them: each held first, conditioned on the fields, the same when run again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from activities.changes.held import HeldChanges
from activities.changes.kinds import Advancing, Kind, kind_of
from activities.doors import Doors
from activities.isolation.changes import same
from activities.isolation.walk import MOST_FAILURES, SYSTEMIC, failure_of
from contracts.common import Failure
from errors import Conflict, FirebreakError, TargetGone
from plans.model import Change

Beat = Callable[[], None]


class Engine:
    """Changes of one installation."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self.held = HeldChanges(doors.kubernetes, doors.settings.namespace)

    def make(self, changes: Sequence[Change], incident: str, step: str, beat: Beat) -> tuple[int, list[Failure]]:
        """Make changes in their order; returns how many stand, and what could not be made.

        Raises:
            Paused, Throttled, Unavailable: A service, not a target, stands in the way; a retry goes on.
        """
        made, failures = 0, []
        for change in changes:
            beat()
            try:
                self._make(change, incident)
                made += 1
            except SYSTEMIC:
                raise
            except FirebreakError as error:
                failures.append(failure_of(step, change.resource, error))
        return made, failures[:MOST_FAILURES]

    def undo(self, change: Change, incident: str) -> str:
        """Let go of a change; the last holder puts the fields back where they are still what was left.

        Returns:
            Why it was left as it is, or "".

        Raises:
            FirebreakError: The service refuses, or does not answer.
        """
        return self.held.leave(change, incident, self._put_back)

    def stands(self, change: Change) -> bool:
        """Whether a change is still as it was left."""
        kind = kind_of(self._doors, change.resource.kind)
        try:
            now = kind.read(change.resource, tuple(change.after))
        except TargetGone:
            return True
        return all(_covers(kind, now.get(field), value) for field, value in change.after.items())

    def _make(self, change: Change, incident: str) -> None:
        kind = kind_of(self._doors, change.resource.kind)
        if kind.undoable:
            self.held.join(change, incident)
        now = kind.read(change.resource, tuple(change.after))
        if all(_covers(kind, now.get(field), value) for field, value in change.after.items()):
            return
        for field, before in change.before.items():
            if not same(now.get(field), before) and not _ours(kind, now.get(field), change.after[field]):
                what = field or "it"
                raise Conflict(f"{change.resource}: {what} was changed by somebody since the step was planned")
        kind.write(change.resource, now, change.after)

    def _put_back(self, change: Change) -> str:
        kind = kind_of(self._doors, change.resource.kind)
        if not kind.undoable:
            return f"{change.resource}: {change.summary}; nothing brings it back"
        try:
            now = kind.read(change.resource, tuple(change.after))
        except TargetGone:
            return ""
        if all(same(now.get(field), value) for field, value in change.before.items()):
            return ""
        moved = [f for f, value in change.after.items() if not _ours(kind, now.get(f), value)]
        if moved:
            return f"{change.resource}: left as it is, because somebody changed {', '.join(f or 'it' for f in moved)}"
        kind.write(change.resource, now, change.before)
        return ""


def _covers(kind: Kind, now: Any, wanted: Any) -> bool:
    return same(now, wanted) or (isinstance(kind, Advancing) and kind.covers(now, wanted))


def _ours(kind: Kind, now: Any, after: Any) -> bool:
    return same(now, after) or (isinstance(kind, Advancing) and kind.ours(now))

"""Makes recorded changes and undoes them: each held first, conditioned on the fields, the same when run again.

Killed anywhere, run again: the record stands before the object is touched, it says what was left only after, and it
goes only after the object has its fields back. So an attempt finds one of these, and each has one way on:

================================================  ====================================================================
found                                             done
================================================  ====================================================================
no record                                         it is written, then the change is made
a record, the fields as before                    the change is made
a record, the fields as wanted                    what was left is written down
a record that is `releasing`, fields as left      undone, then the record goes
a record that is `releasing`, fields as before    the record goes
================================================  ====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from activities.changes.held import HeldChanges
from activities.changes.kinds import Advancing, Kind, Values, kind_of
from activities.changes.records import Record
from activities.changes.secrecy import refuse_secrets
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
        return self.held.leave(change, incident, lambda record: self._put_back(record, change))

    def stands(self, change: Change) -> bool:
        """Whether a change is still as it was left."""
        kind = kind_of(self._doors, change.resource.kind)
        try:
            now = kind.read(change.resource, tuple(change.after))
        except TargetGone:
            return True
        return _covered(kind, now, change.after)

    def gone(self, change: Change) -> bool:
        """Whether the object whose fields were changed does not exist any more, so that nothing is left to change."""
        try:
            kind_of(self._doors, change.resource.kind).read(change.resource, tuple(change.after))
        except TargetGone:
            return True
        return False

    def drifted(self, record: Record) -> bool:
        """Whether a change that was made does not stand any more. What is gone needs none.

        What somebody deleted and made again under its name is looked at as if it were the same: what was taken away
        from the old one must not come back with the new one.
        """
        if record.left is None or record.releasing:
            return False
        ref = record.change.resource
        kind = kind_of(self._doors, ref.kind)
        try:
            now = kind.read(ref.model_copy(update={"uid": ""}), tuple(record.left))
        except TargetGone:
            return False
        return not _covered(kind, now, record.left)

    def _make(self, change: Change, incident: str) -> None:
        refuse_secrets(change)
        kind = kind_of(self._doors, change.resource.kind)
        if not kind.undoable:
            _carry_out(kind, change)
            return
        record, new = self.held.join(change, incident)
        try:
            left = _carry_out(kind, change, record, tried=not new)
        except SYSTEMIC:
            raise
        except FirebreakError:
            self.held.withdraw(change, incident)
            raise
        if record is not None and record.left != left:
            self.held.made(change, incident, left)

    def _put_back(self, record: Record, own: Change) -> str:
        """Put the fields back; `own` is the change as the last holder recorded it, which may have left other values."""
        change = record.change
        kind = kind_of(self._doors, change.resource.kind)
        if not kind.undoable:
            return f"{change.resource}: {change.summary}; nothing brings it back"
        try:
            try:
                return _restored(kind, record, own)
            except Conflict:
                # Somebody wrote to the object just now; whether that touches what is ours, a second look shows.
                return _restored(kind, record, own)
        except TargetGone:
            return _gone(kind, change)


def _restored(kind: Kind, record: Record, own: Change) -> str:
    """Give the fields their old values, if all of them have these or what was left."""
    change = record.change
    now = kind.read(change.resource, tuple(change.after))
    rest = [f for f, value in change.before.items() if not same(now.get(f), value)]
    if not rest:
        return ""
    if moved := [f for f in rest if not _is_ours(kind, now.get(f), f, record, own)]:
        what = ", ".join(f or "it" for f in moved)
        return f"{change.resource}: left as it is, because somebody changed {what}"
    kind.write(change.resource, now, change.before)
    return ""


def _gone(kind: Kind, change: Change) -> str:
    """What is to be said when the object is gone: nothing, unless another one in its place has not the old fields."""
    ref = change.resource
    try:
        now = kind.read(ref.model_copy(update={"uid": ""}), tuple(change.before))
    except TargetGone:
        return ""
    if all(same(now.get(f), value) for f, value in change.before.items()):
        return ""
    return f"{ref}: left as it is, because another object stands under its name now"


def _carry_out(kind: Kind, change: Change, record: Record | None = None, *, tried: bool = False) -> Values:
    """Bring the fields to what is wanted; returns how they stand now.

    Args:
        kind: How they are read and written.
        change: What is wanted, and what was there when it was planned.
        record: Says how the service wrote the same wish when it was last fulfilled.
        tried: An attempt before this one may have made the change and not have learned how the service wrote it: more
            than was asked for is then no sign of somebody else.
    """

    def standing(now: Values) -> Values | None:
        left = record.left if record is not None and record.change.after == change.after else None
        wished = _covered(kind, now, change.after) or (left is not None and _covered(kind, now, left))
        if wished or (left is None and tried and _includes(now, change.after)):
            return {field: now.get(field) for field in change.after}
        return None

    now = kind.read(change.resource, tuple(change.after))
    if (stands := standing(now)) is not None:
        return stands
    for field, before in change.before.items():
        if not same(now.get(field), before) and not _left(kind, now.get(field), change.after[field]):
            what = field or "it"
            raise Conflict(f"{change.resource}: {what} was changed by somebody since the step was planned")
    try:
        return kind.write(change.resource, now, change.after) or change.after
    except Conflict:
        # Most likely another incident makes the same change at the same moment.
        if (stands := standing(kind.read(change.resource, tuple(change.after)))) is not None:
            return stands
        raise


def _is_ours(kind: Kind, now: Any, field: str, record: Record, own: Change) -> bool:
    """Whether a field holds what some incident left there."""
    values = [record.change.after.get(field), own.after.get(field)]
    if record.left is not None:
        values.append(record.left.get(field))
    elif _includes({field: now}, {field: record.change.after.get(field)}):
        return True
    return any(_left(kind, now, value) for value in values)


def _covered(kind: Kind, now: Values, wanted: Values) -> bool:
    return all(
        same(now.get(f), v) or (isinstance(kind, Advancing) and kind.covers(now.get(f), v)) for f, v in wanted.items()
    )


def _left(kind: Kind, now: Any, after: Any) -> bool:
    return same(now, after) or (isinstance(kind, Advancing) and kind.ours(now))


def _includes(now: Any, wanted: Any) -> bool:
    """Whether everything that was asked for is there, whatever defaults the service has added."""
    if isinstance(wanted, Mapping) and isinstance(now, Mapping):
        return all(_includes(now.get(k), v) for k, v in wanted.items())
    if isinstance(wanted, list) and isinstance(now, list):
        return len(now) == len(wanted) and all(_includes(n, w) for n, w in zip(now, wanted, strict=True))
    return same(now, wanted)

"""Which incidents hold which change, and what was there before the first of them: a ConfigMap a change.

An annotation could not say it: an object of AWS has none, a deleted one cannot carry any, and the incident that comes
second finds the work done and no before-state. So each change has a record in Firebreak's own namespace; its layout is
that of `activities.changes.records`. Every edit is a compare-and-swap on resourceVersion. The values of Secrets never
come here.

A record that nobody can read counts as one that somebody unknown holds: containment goes on without it, nothing that it
may stand for is undone, and a person mends or deletes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

import structlog

from activities.changes.kinds import Values
from activities.changes.records import Record, body_of, record_name, record_of, refuse_large
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path, object_path
from contracts.names import HELD_LABEL, LABEL_ON
from errors import Conflict, FirebreakError, TargetGone
from plans.model import Change, ResourceRef

_log = structlog.get_logger(__name__)

_ATTEMPTS = 50
"""Each lost race means that somebody else won one, so only a broken server makes it this far."""
_PATIENCE, _PAUSE = 2.0, 0.05
"""Seconds that a change waits for a release of it: one takes milliseconds, and then the way is free."""


class Joined(NamedTuple):
    """The record that an incident holds now, or None where it cannot be read."""

    record: Record | None
    new: bool
    """Whether it was written by this call: nobody has made the change, in this attempt or an earlier one."""


class HeldChanges:
    """The records of one installation. Its own bookkeeping: a pause does not hold it."""

    def __init__(self, kubernetes: Kubernetes, namespace: str) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace

    def join(self, change: Change, incident: str) -> Joined:
        """Write the incident among the holders before the change is made.

        A later incident gets the before-state of the first, which alone knows it. Only what its single holder has not
        made yet is written anew: it was planned again, after somebody changed the object in between.

        Raises:
            Conflict: The change is just being undone, or others edit the record again and again.
            InputError: The before-state is too large to be kept.
        """
        end = time.monotonic() + _PATIENCE
        for _ in range(_ATTEMPTS):
            live = self._live(change)
            record = record_of(live) if live is not None else Record(change=change, incidents=(incident,))
            if live is None:
                assert record is not None
                refuse_large(record)
                if self._create(record):
                    return Joined(record, new=True)
                continue
            if record is None:
                _log.warning("a record of a held change cannot be read", record=record_name(change))
                return Joined(None, new=False)
            if record.releasing:
                if time.monotonic() > end:
                    raise Conflict(f"{change.resource}: {record.releasing[:200]} is undoing it; release that one again")
                time.sleep(_PAUSE)
                continue
            joined = _joined(record, change, incident)
            if joined == record or self._replace(live, joined) is not None:
                return Joined(joined, new=False)
        raise Conflict(f"{change.resource}: its record is edited by others again and again")

    def made(self, change: Change, incident: str, left: Values) -> None:
        """Write down that the change stands, and how the service wrote it."""
        for _ in range(_ATTEMPTS):
            live = self._live(change)
            if live is None:
                # Somebody deleted it since; this incident holds the change all the same.
                if self._create(Record(change=change, incidents=(incident,), left=dict(left))):
                    return
                continue
            record = record_of(live)
            if record is None or record.left == left:
                return
            if self._replace(live, record.model_copy(update={"left": dict(left)})) is not None:
                return
        raise Conflict(f"{change.resource}: its record is edited by others again and again")

    def withdraw(self, change: Change, incident: str) -> None:
        """Take the incident off a change that it could not make, if nobody has made it: nothing is to be undone."""
        for _ in range(_ATTEMPTS):
            live = self._live(change)
            record = record_of(live) if live is not None else None
            if live is None or record is None or record.left is not None or incident not in record.incidents:
                return
            others = tuple(i for i in record.incidents if i != incident)
            if others and self._replace(live, record.model_copy(update={"incidents": others})) is not None:
                return
            if not others and self._drop(live):
                return

    def leave(self, change: Change, incident: str, undo: Callable[[Record], str]) -> str:
        """Take the incident off; the last one undoes the change, with the before-state of the first.

        Args:
            change: As the incident recorded it.
            incident: Who lets go.
            undo: Puts the before-state back; returns why it was left as it is, or "".

        Returns:
            Why the change still stands, or "".

        Raises:
            Conflict: Others edit the record again and again.
            FirebreakError: What `undo` raises. The incident stays a holder, so that it can be released again.
        """
        for _ in range(_ATTEMPTS):
            live = self._live(change)
            if live is None:
                # An attempt before this one got as far, or somebody deleted the record: what the incident's own history
                # says is all that is left, and so only exactly what it says is undone.
                return undo(Record(change=change, left=change.after))
            record = record_of(live)
            if record is None:
                name = f"ConfigMap {self._namespace}/{record_name(change)}"
                return f"{change.resource}: held by somebody unknown, because {name} cannot be read; mend or delete it"
            others = tuple(i for i in record.incidents if i != incident)
            if others:
                if self._replace(live, record.model_copy(update={"incidents": others})) is not None:
                    return f"{change.resource}: held by {', '.join(o[:120] for o in others[:3])}"
                continue
            marked: JsonObject | None = live
            if record.releasing != incident:
                marked = self._replace(live, record.model_copy(update={"releasing": incident}))
            if marked is None:
                continue
            try:
                kept = undo(record)
            except FirebreakError:
                with suppress(FirebreakError):
                    self._replace(marked, record.model_copy(update={"releasing": ""}))
                raise
            if self._drop(marked):
                return kept
        raise Conflict(f"{change.resource}: its record is edited by others again and again")

    def all(self) -> Iterator[Record]:
        """Every change that some incident holds, as far as it can be read."""
        selector = f"{HELD_LABEL}={LABEL_ON}"
        for live in self._kubernetes.items(list_path("ConfigMap", self._namespace), labelSelector=selector):
            record = record_of(live)
            if record is None:
                _log.warning("a record of a held change cannot be read", record=live["metadata"]["name"])
            else:
                yield record

    def change_of(self, resource: ResourceRef) -> Change | None:
        """The change that stands on a resource, of another incident or an earlier run: it knows what was before."""
        found = (r.change for r in self.all() if not r.releasing)
        return next((c for c in found if c.resource == resource), None)

    def for_aims(self, aims: Iterable[str]) -> list[Change]:
        """The changes that others have made already for one of these aims.

        One that is just being undone is among them: it may look as if it stood, and has to be made again.
        """
        wanted = set(aims)
        return [r.change for r in self.all() if wanted & set(r.change.aims)]

    def _live(self, change: Change) -> JsonObject | None:
        try:
            return self._kubernetes.get(object_path("ConfigMap", self._namespace, record_name(change)))
        except TargetGone:
            return None

    def _create(self, record: Record) -> bool:
        try:
            self._kubernetes.create(list_path("ConfigMap", self._namespace), body_of(record), control=True)
        except Conflict:
            return False
        return True

    def _replace(self, live: JsonObject, record: Record) -> JsonObject | None:
        body = body_of(record)
        body["metadata"] |= {k: live["metadata"][k] for k in ("uid", "resourceVersion")}
        try:
            return self._kubernetes.replace(
                object_path("ConfigMap", self._namespace, body["metadata"]["name"]), body, control=True
            )
        except (Conflict, TargetGone):
            return None

    def _drop(self, live: JsonObject) -> bool:
        """Delete the record as it was read; False when somebody has edited it since."""
        metadata = live["metadata"]
        try:
            self._kubernetes.delete(
                object_path("ConfigMap", self._namespace, metadata["name"]),
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
                control=True,
            )
        except Conflict:
            return False
        except TargetGone:
            pass
        return True


def _joined(record: Record, change: Change, incident: str) -> Record:
    """The record once the incident holds the change too."""
    if record.left is None and record.incidents == (incident,):
        return record.model_copy(update={"change": change.model_copy(update={"held": True})})
    aims = tuple(dict.fromkeys((*record.change.aims, *change.aims)))
    incidents = record.incidents if incident in record.incidents else (*record.incidents, incident)
    kept = record.change.model_copy(update={"aims": aims})
    return record.model_copy(update={"incidents": incidents, "change": kept})

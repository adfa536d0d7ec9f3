"""Which incidents hold which change, and what was there before the first of them: a ConfigMap a change.

An annotation could not say it: an object of AWS has none, a deleted one cannot carry any, and the incident that comes
second finds the work done and no before-state. So each change has a record in Firebreak's own namespace::

    data.resource    the resource as JSON        data.step        the step that made it first
    data.before      the fields before           data.after       the fields as they were left
    data.aims        what it is for              data.incidents   who holds it, in order
    data.releasing   the incident that is just undoing it, or empty

Every edit is a compare-and-swap on resourceVersion. The values of Secrets never come here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path, object_path
from contracts.names import HELD_LABEL, LABEL_ON, MANAGED_LABEL
from errors import Conflict, TargetGone
from plans.model import Change, ResourceRef

_ATTEMPTS = 20


class Record(BaseModel):
    """One change and its holders."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    change: Change
    incidents: tuple[str, ...] = ()
    releasing: str = ""


class HeldChanges:
    """The records of one installation. Its own bookkeeping: a pause does not hold it."""

    def __init__(self, kubernetes: Kubernetes, namespace: str) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace

    def join(self, change: Change, incident: str) -> Change:
        """Write the incident among the holders before the change is made; returns the change as it is recorded.

        A later incident gets the before-state of the first, which alone knows it.

        Raises:
            Conflict: The change is just being undone, or others edit the record again and again.
        """
        for _ in range(_ATTEMPTS):
            live = self._live(change)
            if live is None:
                record = Record(change=change, incidents=(incident,))
                if self._create(record):
                    return change
                continue
            record = _record(live)
            if record.releasing:
                raise Conflict(f"{change.resource}: {record.releasing} is just undoing it")
            if incident in record.incidents:
                return record.change
            aims = tuple(dict.fromkeys((*record.change.aims, *change.aims)))
            joined = record.model_copy(
                update={
                    "incidents": (*record.incidents, incident),
                    "change": record.change.model_copy(update={"aims": aims}),
                }
            )
            if self._replace(live, joined):
                return record.change
        raise Conflict(f"{change.resource}: its record is edited by others again and again")

    def leave(self, change: Change, incident: str, undo: Callable[[Change], str]) -> str:
        """Take the incident off; the last one undoes the change, with the before-state of the first.

        Args:
            change: As the incident recorded it.
            incident: Who lets go.
            undo: Puts the before-state back; returns why it was left as it is, or "".

        Returns:
            Why the change still stands, or "".

        Raises:
            Conflict: Others edit the record again and again.
        """
        for _ in range(_ATTEMPTS):
            live = self._live(change)
            if live is None:
                return undo(change)
            record = _record(live)
            others = tuple(i for i in record.incidents if i != incident)
            if others:
                if self._replace(live, record.model_copy(update={"incidents": others})):
                    return f"{change.resource}: held by {', '.join(o[:120] for o in others[:3])}"
                continue
            marked = self._replace(live, record.model_copy(update={"releasing": incident}))
            if marked is None:
                continue
            kept = undo(record.change)
            self._drop(marked)
            return kept
        raise Conflict(f"{change.resource}: its record is edited by others again and again")

    def all(self) -> Iterator[Record]:
        """Every change that some incident holds."""
        selector = f"{HELD_LABEL}={LABEL_ON}"
        for live in self._kubernetes.items(list_path("ConfigMap", self._namespace), labelSelector=selector):
            yield _record(live)

    def for_aims(self, aims: Iterable[str]) -> list[Change]:
        """The changes that others have made already for one of these aims."""
        wanted = set(aims)
        return [r.change for r in self.all() if wanted & set(r.change.aims) and not r.releasing]

    def _live(self, change: Change) -> JsonObject | None:
        try:
            return self._kubernetes.get(object_path("ConfigMap", self._namespace, record_name(change)))
        except TargetGone:
            return None

    def _create(self, record: Record) -> bool:
        try:
            self._kubernetes.create(list_path("ConfigMap", self._namespace), _body(record), control=True)
        except Conflict:
            return False
        return True

    def _replace(self, live: JsonObject, record: Record) -> JsonObject | None:
        body = _body(record)
        body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
        try:
            return self._kubernetes.replace(
                object_path("ConfigMap", self._namespace, body["metadata"]["name"]), body, control=True
            )
        except (Conflict, TargetGone):
            return None

    def _drop(self, live: JsonObject) -> None:
        metadata = live["metadata"]
        try:
            self._kubernetes.delete(
                object_path("ConfigMap", self._namespace, metadata["name"]), uid=metadata["uid"], control=True
            )
        except TargetGone:
            pass


def record_name(change: Change) -> str:
    """The name of a change's record: a hash of what it changes, because names from outside may be no names here."""
    r = change.resource
    identity = json.dumps([r.kind, r.namespace, r.uid or r.name, sorted(change.after)])
    return f"held-{hashlib.sha256(identity.encode()).hexdigest()[:40]}"


def _record(live: JsonObject) -> Record:
    data: dict[str, str] = live.get("data") or {}
    change = Change(
        step=data.get("step", ""),
        resource=ResourceRef.model_validate_json(data.get("resource", "{}")),
        summary=data.get("summary", ""),
        before=json.loads(data.get("before", "{}")),
        after=json.loads(data.get("after", "{}")),
        held=True,
        aims=tuple(json.loads(data.get("aims", "[]"))),
    )
    return Record(
        change=change, incidents=tuple(json.loads(data.get("incidents", "[]"))), releasing=data.get("releasing", "")
    )


def _body(record: Record) -> dict[str, Any]:
    change = record.change
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": record_name(change), "labels": {MANAGED_LABEL: LABEL_ON, HELD_LABEL: LABEL_ON}},
        "data": {
            "resource": change.resource.model_dump_json(),
            "step": change.step,
            "summary": change.summary,
            "before": json.dumps(change.before),
            "after": json.dumps(change.after),
            "aims": json.dumps(change.aims),
            "incidents": json.dumps(record.incidents),
            "releasing": record.releasing,
        },
    }

"""How a held change is written down: the layout of its ConfigMap, and how it is read without trusting it.

::

    data.resource    the resource as JSON        data.step        the step that made it first
    data.before      the fields before           data.after       the fields as they were to become
    data.aims        what it is for              data.incidents   who holds it, in order
    data.left        the fields as they stood once it was made, which the service may write otherwise than it was told;
                     null until then
    data.releasing   the incident that is just undoing it, or empty

Whoever may write ConfigMaps in Firebreak's namespace may damage one. What cannot be read, or stands under a name that
is not its own, is no record that anybody acts upon, and none that is thrown away.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, JsonValue

from clients.kubernetes import JsonObject
from contracts.names import HELD_LABEL, LABEL_ON, MANAGED_LABEL
from errors import InputError
from plans.model import Change, ResourceRef

MOST_BYTES: Final = 900_000
"""A ConfigMap may have 1 MiB: https://kubernetes.io/docs/concepts/configuration/configmap/. The rest is for holders."""


class Record(BaseModel):
    """One change and its holders."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    change: Change
    incidents: tuple[str, ...] = ()
    releasing: str = ""
    left: dict[str, JsonValue] | None = None


def record_name(change: Change) -> str:
    """The name of a change's record: a hash of what it changes, because names from outside may be no names here.

    Two changes of one object that have a field in common but are not of the same fields have two records, and undoing
    one would break the other: the fields of a kind are changed always together or always apart.
    """
    r = change.resource
    identity = json.dumps([r.kind, r.namespace, r.uid or r.name, sorted(change.after)])
    return f"held-{hashlib.sha256(identity.encode()).hexdigest()[:40]}"


def record_of(live: JsonObject) -> Record | None:
    """The record that a ConfigMap holds; None when it cannot be read."""
    data = live.get("data") or {}
    try:
        change = Change(
            step=data["step"],
            resource=ResourceRef.model_validate_json(data["resource"]),
            summary=data["summary"],
            before=json.loads(data["before"]),
            after=json.loads(data["after"]),
            held=True,
            aims=json.loads(data["aims"]),
        )
        record = Record(
            change=change,
            incidents=json.loads(data["incidents"]),
            releasing=data.get("releasing", ""),
            left=json.loads(data.get("left") or "null"),
        )
    except (ValueError, KeyError, RecursionError):
        return None
    fields = record.left is None or record.left.keys() == change.after.keys()
    return record if fields and record_name(change) == live["metadata"]["name"] else None


def refuse_large(record: Record) -> None:
    """Make sure that a new record has room for what will be written into it: how the change was left, and its holders.

    Raises:
        InputError: It has not. Later edits are not refused: what is held must be released.
    """
    final = record.model_copy(update={"left": record.change.after})
    size = sum(len(v.encode()) for v in body_of(final)["data"].values())
    if size > MOST_BYTES:
        raise InputError("changes", f"a before-state that fits a record of {MOST_BYTES} bytes", f"{size} bytes")


def body_of(record: Record) -> dict[str, Any]:
    """The ConfigMap of a record."""
    change = record.change
    data = {
        "resource": change.resource.model_dump_json(),
        "step": change.step,
        "summary": change.summary,
        "before": json.dumps(change.before),
        "after": json.dumps(change.after),
        "aims": json.dumps(change.aims),
        "incidents": json.dumps(record.incidents),
        "left": json.dumps(record.left),
        "releasing": record.releasing,
    }
    labels = {MANAGED_LABEL: LABEL_ON, HELD_LABEL: LABEL_ON}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": record_name(change), "labels": labels},
        "data": data,
    }

"""Makes one recorded change, conditioned on the uid and on the old value of every field; and says if it stands.

A field whose before and after are the same is a guard: it is tested, never written. The selector of a foreign policy
has a rule of its own, because several incidents may record the same edit with different before-states: it is done when
the selector leaves out quarantined pods, whoever saw to that.
"""

from __future__ import annotations

from typing import Any

from activities.isolation.fields import field_value
from activities.isolation.holders import HOLDERS_FIELD, holders_of, with_holder
from activities.isolation.objects import edit
from activities.isolation.selectors import leaves_out_quarantined
from clients.kubernetes import JsonObject, Kubernetes
from contracts.changes import SELECTOR_FIELD
from errors import Conflict, InputError
from plans.model import Change


def apply_change(kubernetes: Kubernetes, change: Change, incident: str, known: JsonObject | None = None) -> None:
    """Make a change unless it stands, and write the incident among the object's holders, in one patch.

    Raises:
        TargetGone: The object does not exist, or another uid stands under its name.
        Conflict: A field is neither what it was nor what it shall become.
        InputError: The change is one of a whole object.
    """
    if "" in change.after:
        raise InputError("changes", "changes of fields", f"{change.resource}: a change of the whole object")

    def decide(live: JsonObject) -> dict[str, Any]:
        wanted: dict[str, Any] = {}
        for field, after in change.after.items():
            if stands(live, field, after):
                continue
            before, now = change.before.get(field), field_value(live, field)
            if not same(now, before):
                raise Conflict(f"{change.resource}: {field} was changed by somebody since the plan was made")
            wanted[field] = after
        holders = holders_of(live)
        if incident not in holders:
            wanted[HOLDERS_FIELD] = with_holder(holders, incident)
        return guards(change) | wanted if wanted else {}

    edit(kubernetes, change.resource, decide, known)


def stands(live: JsonObject, field: str, after: Any) -> bool:
    """Whether a field of a live object is what a change makes of it."""
    if field == SELECTOR_FIELD and leaves_out_quarantined({"matchExpressions": after}):
        return leaves_out_quarantined(live["spec"].get("podSelector"))
    return same(field_value(live, field), after)


def guards(change: Change) -> dict[str, Any]:
    """The fields that a change tests and does not write."""
    return {
        field: after
        for field, after in change.after.items()
        if field != SELECTOR_FIELD and same(after, change.before.get(field))
    }


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same to the API server, which does not store empty lists and maps."""
    empty: tuple[Any, ...] = (None, [], {})
    return bool(one == other or (one in empty and other in empty))

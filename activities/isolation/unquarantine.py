"""Takes the labels off one pod again: the part of a release that undoes `isolate_pods`."""

from __future__ import annotations

from typing import Any

from activities.isolation.fields import labels_of
from activities.isolation.holders import HOLDERS_FIELD, holders_of, holders_text, name_holders, others, without_holder
from activities.isolation.objects import edit
from activities.isolation.pods import HOLD_LIFTED_ANNOTATION, HOLD_LIFTED_FIELD
from clients.kubernetes import JsonObject, Kubernetes
from contracts.changes import HOLD_FIELD, QUARANTINED_FIELD
from contracts.common import PodTarget
from contracts.names import HOLD_LABEL, LABEL_ON, QUARANTINED_LABEL


def release_pod(kubernetes: Kubernetes, pod: PodTarget, incident: str, known: JsonObject | None = None) -> str | None:
    """Let go of a pod; the last holder takes both labels off.

    Returns:
        Why the labels stay, in a sentence, or "", or None when the pod carried nothing that this incident could take.

    Raises:
        TargetGone: The pod does not exist any more.
        Conflict: Others changed it again and again.
    """
    kept, changed = "", False

    def decide(live: JsonObject) -> dict[str, Any]:
        nonlocal kept, changed
        kept = ""
        holders = holders_of(live)
        values: dict[str, Any] = {}
        rest = others(holders, incident)
        if rest:
            kept = f"{pod.ref}: held by {name_holders(rest)}"
        else:
            values = _unlabel(live)
        if incident in holders:
            values[HOLDERS_FIELD] = without_holder(holders, incident)
        elif values:
            # Tested and not written: an incident that joins at this moment must not lose the labels.
            values[HOLDERS_FIELD] = holders_text(live)
        changed = bool(values)
        return values

    edit(kubernetes, pod.ref, decide, known)
    return kept if kept or changed else None


def _unlabel(live: JsonObject) -> dict[str, Any]:
    labels = labels_of(live)
    # A label with another value than ours is not what we left.
    fields = {QUARANTINED_FIELD: labels.get(QUARANTINED_LABEL), HOLD_FIELD: labels.get(HOLD_LABEL)}
    values: dict[str, Any] = {field: None for field, value in fields.items() if value == LABEL_ON}
    if HOLD_LIFTED_ANNOTATION in (live["metadata"].get("annotations") or {}):
        values[HOLD_LIFTED_FIELD] = None
    return values

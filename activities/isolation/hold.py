"""The activity `lift_hold`: before approved eradication, the pods may be deleted again; they stay cut off.

The lifted hold is written on the pod, so that verification and sweep can tell it from one that somebody broke.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from temporalio import activity

from activities.doors import Doors
from activities.isolation.fields import labels_of
from activities.isolation.holders import HOLDERS_FIELD, holders_of, holders_text, name_holders, others
from activities.isolation.objects import edit
from activities.isolation.pods import HOLD_LIFTED_ANNOTATION, HOLD_LIFTED_FIELD, listed_targets
from activities.isolation.walk import keep_cursor, resumed, walk
from activities.targets import read_targets
from clients.kubernetes import JsonObject
from contracts.activities import HoldRequest, StepResult
from contracts.changes import HOLD_FIELD
from contracts.common import PodTarget
from contracts.names import HOLD_LABEL, LABEL_ON, ActivityName
from errors import Conflict

_WALK = "lift"
_LIST_ABOVE = 100


class HoldActivities:
    """Lifts holds."""

    def __init__(self, doors: Doors) -> None:
        self._kubernetes = doors.kubernetes
        self._store = doors.store

    @activity.defn(name=ActivityName.LIFT_HOLD, no_thread_cancel_exception=True)
    def lift_hold(self, request: HoldRequest) -> StepResult:
        """Take the hold off each pod that no other incident holds; the quarantine stays.

        A pod that another incident holds keeps its hold and is a failure: that incident may not have collected yet.

        Raises:
            Paused, Throttled, Unavailable: The cluster, not a pod, stands in the way; a retry goes on.
            EvidenceError: The list of pods is not the one that was planned.
        """
        pods = read_targets(self._store, request.pods)
        tally = resumed(_WALK)
        known = listed_targets(self._kubernetes, pods[tally.index :], partial(keep_cursor, tally), above=_LIST_ABOVE)
        work = partial(self._lift, incident=request.incident.workflow_id, known=known)
        return walk(_WALK, pods, work, step=request.step).result()

    def _lift(self, pod: PodTarget, *, incident: str, known: dict[str, JsonObject]) -> str:
        edit(self._kubernetes, pod.ref, lambda live: _without_hold(pod, live, incident), known.get(pod.uid))
        return ""


def _without_hold(pod: PodTarget, live: JsonObject, incident: str) -> dict[str, Any]:
    rest = others(holders_of(live), incident)
    if rest:
        raise Conflict(f"{pod.ref} is held also by {name_holders(rest)}")
    annotations = live["metadata"].get("annotations") or {}
    values: dict[str, Any] = {}
    if labels_of(live).get(HOLD_LABEL) == LABEL_ON:
        values[HOLD_FIELD] = None
    if annotations.get(HOLD_LIFTED_ANNOTATION) != incident:
        values[HOLD_LIFTED_FIELD] = incident
    if values:
        # Tested and not written: an incident that joins at this moment must find its hold on the pod.
        values[HOLDERS_FIELD] = holders_text(live)
    return values

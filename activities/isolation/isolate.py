"""The activity `isolate_pods`: policies first, the label on each pod last (design: Isolation, 1 and 2).

Killed at any point and run again, it ends in the same state: one policy a namespace, one expression a selector, one
entry among the holders, two labels a pod.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from temporalio import activity

from activities.doors import Doors
from activities.isolation.changes import apply_change
from activities.isolation.fields import labels_of
from activities.isolation.holders import HOLDERS_FIELD, holders_of, holders_text, with_holder
from activities.isolation.objects import check_uid, edit
from activities.isolation.pods import HOLD_LIFTED_ANNOTATION, HOLD_LIFTED_FIELD, Beat, listed_targets
from activities.isolation.policies import deny_all_ref, ensure_deny_all
from activities.isolation.walk import SYSTEMIC, failure_of, keep_cursor, resumed, walk
from activities.targets import read_targets
from clients.kubernetes import JsonObject
from clients.paths import object_path
from contracts.activities import IsolateRequest, StepResult
from contracts.changes import HOLD_FIELD, QUARANTINED_FIELD
from contracts.common import Failure, PodTarget
from contracts.names import HOLD_LABEL, LABEL_ON, QUARANTINED_LABEL, ActivityName
from errors import Conflict, FirebreakError, TargetGone
from plans.model import Change

_WALK = "label"
_LIST_ABOVE = 100
"""Below, reading each pod costs less than paging through a namespace of unknown size."""


class IsolateActivities:
    """Cuts pods off from the network."""

    def __init__(self, doors: Doors) -> None:
        self._kubernetes = doors.kubernetes
        self._store = doors.store

    @activity.defn(name=ActivityName.ISOLATE_PODS, no_thread_cancel_exception=True)
    def isolate_pods(self, request: IsolateRequest) -> StepResult:
        """Deny-all policy, selectors of the other policies, then the two labels on each pod.

        Raises:
            Paused, Throttled, Unavailable: The cluster, not a target, stands in the way; a retry goes on.
            EvidenceError: The list of targets is not the one that was planned.
        """
        pods = read_targets(self._store, request.pods)
        incident, step = request.incident.workflow_id, request.step
        # Policies are looked at again by every attempt, which costs little; the cursor of the labels stays meanwhile.
        beat = partial(keep_cursor, resumed(_WALK))
        refused, notes = self._close_namespaces(sorted({p.namespace for p in pods}), incident, step, beat)
        failures: list[Failure] = []
        for change in request.changes:
            if "" not in change.after:
                beat()
                failures += self._close_policy(change, incident, step, refused)
        rest = pods[resumed(_WALK).index :]
        known = listed_targets(self._kubernetes, rest, beat, above=_LIST_ABOVE)
        left_open: set[str] = set()
        work = partial(self._label, incident=incident, known=known, refused=refused.keys(), left_open=left_open)
        tally = walk(_WALK, pods, work, step=step)
        # A namespace that is gone with all of its pods has nothing that a policy could be missing for.
        return tally.result([*(refused[n] for n in sorted(left_open)), *failures], notes)

    def _close_namespaces(
        self, namespaces: Sequence[str], incident: str, step: str, beat: Beat
    ) -> tuple[dict[str, Failure], list[str]]:
        """The deny-all policy in each namespace: the failures by namespace, and what had to be repaired."""
        refused: dict[str, Failure] = {}
        notes: list[str] = []
        for namespace in namespaces:
            try:
                beat()
                note = ensure_deny_all(self._kubernetes, namespace, incident)
            except SYSTEMIC:
                raise
            except FirebreakError as error:
                refused[namespace] = failure_of(step, deny_all_ref(namespace), error)
            else:
                notes += [note] if note else []
        for note in notes:
            activity.logger.warning(note)
        return refused, notes

    def _close_policy(self, change: Change, incident: str, step: str, refused: dict[str, Failure]) -> list[Failure]:
        if change.resource.namespace in refused:
            return []
        try:
            apply_change(self._kubernetes, change, incident)
        except TargetGone:
            # A policy that is gone allows nothing. One that came back under its name is found by verification.
            return []
        except SYSTEMIC:
            raise
        except FirebreakError as error:
            return [failure_of(step, change.resource, error)]
        return []

    def _label(
        self,
        pod: PodTarget,
        *,
        incident: str,
        known: dict[str, JsonObject],
        refused: Collection[str],
        left_open: set[str],
    ) -> str:
        if pod.namespace in refused:
            # Without the deny-all policy the label would only free the pod from the policies that leave it out.
            check_uid(self._kubernetes.get(object_path("Pod", pod.namespace, pod.name)), pod.ref)
            left_open.add(pod.namespace)
            raise Conflict(f"not labelled, because {deny_all_ref(pod.namespace)} does not stand")
        edit(self._kubernetes, pod.ref, lambda live: _quarantine(live, incident), known.get(pod.uid))
        return ""


def _quarantine(live: JsonObject, incident: str) -> dict[str, Any]:
    labels, holders = labels_of(live), holders_of(live)
    values: dict[str, Any] = {}
    if labels.get(QUARANTINED_LABEL) != LABEL_ON:
        values[QUARANTINED_FIELD] = LABEL_ON
    if labels.get(HOLD_LABEL) != LABEL_ON:
        values[HOLD_FIELD] = LABEL_ON
    # A hold is lifted only while pods are being replaced, and then nobody isolates. This is a new round: what was not
    # replaced is held again.
    if HOLD_LIFTED_ANNOTATION in (live["metadata"].get("annotations") or {}):
        values[HOLD_LIFTED_FIELD] = None
    if incident not in holders:
        values[HOLDERS_FIELD] = with_holder(holders, incident)
    elif values:
        values[HOLDERS_FIELD] = holders_text(live)
    return values

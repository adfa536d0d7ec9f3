"""The activity `delete_pods`: deletes the vulnerable pods, each by its uid, and waits until they are gone (P8)."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from temporalio import activity

from activities.doors import Doors
from activities.isolation.fields import labels_of
from activities.isolation.holders import holders_of, name_holders, others
from activities.isolation.objects import ATTEMPTS, check_uid
from activities.isolation.pods import FEW
from activities.isolation.walk import Tally, failure_of, keep_cursor, walk
from activities.targets import read_targets
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path, object_path
from contracts.activities import DeletePodsRequest, StepResult
from contracts.common import Failure, PodTarget
from contracts.names import HOLD_LABEL, LABEL_ON, ActivityName
from errors import Conflict, PolicyRefusal, TargetGone, Unavailable

_WALK = "delete"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0


class DeleteActivities:
    """Deletes pods."""

    def __init__(self, doors: Doors, *, gone_within: timedelta = timedelta(minutes=10)) -> None:
        """Act through the doors.

        Args:
            doors: The clients.
            gone_within: How long deleted pods may take to go; must be shorter than the activity's own limit.
        """
        self._kubernetes = doors.kubernetes
        self._store = doors.store
        self._gone_within = gone_within.total_seconds()

    @activity.defn(name=ActivityName.DELETE_PODS, no_thread_cancel_exception=True)
    def delete_pods(self, request: DeletePodsRequest) -> StepResult:
        """Delete each pod and wait until its uid is gone; `gone` counts those that were gone before.

        A pod that is held, or that another incident holds, is not deleted: its hold was not lifted.

        Raises:
            Paused, Throttled, Unavailable: The cluster, not a pod, stands in the way; a retry goes on.
            EvidenceError: The list of pods is not the one that was planned.
        """
        pods = read_targets(self._store, request.pods)
        incident, step = request.incident.workflow_id, request.step
        tally = walk(_WALK, pods, partial(self._delete, incident=incident), step=step)
        refused = {f.target for f in tally.failures}
        stuck = self._await_gone([p for p in pods if str(p.ref) not in refused], tally, step)
        tally.done -= len(stuck)
        return tally.result(stuck)

    def _delete(self, pod: PodTarget, *, incident: str) -> str:
        if pod.static:
            raise PolicyRefusal(f"{pod.ref} is a static pod: it comes back from the manifest on node {pod.node}")
        path = object_path("Pod", pod.namespace, pod.name)
        for _ in range(ATTEMPTS):
            live = self._kubernetes.get(path)
            check_uid(live, pod.ref)
            _check_hold(pod, live, incident)
            metadata = live["metadata"]
            if metadata.get("deletionTimestamp"):
                return ""
            try:
                # The version makes sure that no incident has put its hold on the pod since it was read.
                self._kubernetes.delete(path, uid=pod.uid, resource_version=metadata["resourceVersion"])
            except Conflict:
                continue
            return ""
        raise Conflict(f"{pod.ref} is changed by others again and again")

    def _await_gone(self, pods: Sequence[PodTarget], tally: Tally, step: str) -> list[Failure]:
        """Wait for the pods; those that do not go are failures that say what keeps them."""
        end = time.monotonic() + self._gone_within
        pause = _FIRST_PAUSE
        beat = partial(keep_cursor, tally)
        left = _still_there(self._kubernetes, pods, tally)
        while left and time.monotonic() < end:
            # Returns at once when the activity is cancelled, and then the next line stops it.
            activity.wait_for_cancelled_sync(timedelta(seconds=pause))
            beat()
            pause = min(_LONGEST_PAUSE, pause * 1.5)
            left = _still_there(self._kubernetes, [pod for pod, _ in left], tally)
        return [failure_of(step, pod.ref, Unavailable(_why_stuck(live))) for pod, live in left]


def _check_hold(pod: PodTarget, live: JsonObject, incident: str) -> None:
    rest = others(holders_of(live), incident)
    if rest:
        raise Conflict(f"{pod.ref} is held also by {name_holders(rest)}")
    if labels_of(live).get(HOLD_LABEL) == LABEL_ON:
        raise Conflict(f"{pod.ref} is still on hold: lift the hold before it is deleted")


def _still_there(kubernetes: Kubernetes, pods: Sequence[PodTarget], tally: Tally) -> list[tuple[PodTarget, JsonObject]]:
    by_namespace: dict[str, list[PodTarget]] = defaultdict(list)
    for pod in pods:
        by_namespace[pod.namespace].append(pod)
    found: list[tuple[PodTarget, JsonObject]] = []
    for namespace, targets in by_namespace.items():
        live: dict[str, JsonObject] = {}
        wanted = {t.uid for t in targets}
        if len(targets) > FEW:
            for page in kubernetes.pages(list_path("Pod", namespace)):
                live |= {p["metadata"]["uid"]: p for p in page if p["metadata"]["uid"] in wanted}
                keep_cursor(tally)
        else:
            for target in targets:
                try:
                    pod_now = kubernetes.get(object_path("Pod", namespace, target.name))
                except TargetGone:
                    continue
                live[pod_now["metadata"]["uid"]] = pod_now
        found += [(t, live[t.uid]) for t in targets if t.uid in live]
    # One that is not being deleted was refused: a list of failures is cut, so they cannot all be told from it.
    return [(target, pod) for target, pod in found if pod["metadata"].get("deletionTimestamp")]


def _why_stuck(live: JsonObject) -> str:
    finalizers = live["metadata"].get("finalizers")
    if finalizers:
        return f"deleted, but its finalizers keep it: {', '.join(finalizers)}"
    return "deleted, but still there: its node may not answer"

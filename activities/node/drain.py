"""The activity `drain_node`: every pod that can run elsewhere leaves, as its disruption budgets allow (guide N4).

Pods are evicted, never deleted. Evidence stays, and so does what belongs to the node: DaemonSets and static pods.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from temporalio import activity

from activities.assess.reading import controller_of
from activities.changes.kinds import Values, register
from activities.doors import Doors
from activities.isolation.fields import field_value, labels_of
from activities.isolation.selectors import matches
from activities.isolation.walk import SYSTEMIC, failure_of
from activities.node.cordon import UNSCHEDULABLE, cordon_change
from activities.node.machine import live_node
from activities.node.pods import NodePods, evidence_uids, pod_name, sorted_pods
from activities.steps import Planner, StepRoom, beat
from clients.kubernetes import JsonObject
from clients.paths import list_path, object_path
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from errors import Conflict, FirebreakError, InputError, TargetGone
from plans.model import Change, ResourceRef, Target
from plans.situation import listed, words

_PODS: Final = "/pods"
_MOST_NAMED: Final = 200
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


class DrainActivities(StepRoom):
    """Drains nodes."""

    def __init__(self, doors: Doors, *, within: timedelta = timedelta(minutes=15)) -> None:
        """Act through the doors.

        Args:
            doors: The clients.
            within: How long the pods of one node may take to go; must be shorter than the activity's own limit.
        """
        super().__init__(doors)
        self._within = within.total_seconds()

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"node.drain": self._plan}

    @activity.defn(name=ActivityName.DRAIN_NODE, no_thread_cancel_exception=True)
    def drain_node(self, request: StepRequest) -> StepOutcome:
        """Cordon where it is not, then evict until nothing is left; one node after another, the first failure stops.

        Raises:
            Paused, Throttled, Unavailable: The cluster, not a pod, stands in the way; a retry goes on.
        """
        cordons = tuple(c for c in request.changes if c.resource.kind == "Node")
        made = self._make(request.model_copy(update={"changes": cordons}))
        if made.failures:
            return StepOutcome(complete=False, failures=made.failures, summary="not every node could be cordoned")
        said: list[str] = []
        for target in request.step.targets:
            if live_node(self._doors.kubernetes, target) is None:
                said.append(f"{words(target.name)} is gone")
                continue
            evicted, failures = self._drain(target, request)
            said.append(f"{words(target.name)}: {evicted} pods left")
            if failures:
                return StepOutcome(complete=False, failures=tuple(failures), summary="; ".join(said)[:600])
        return StepOutcome(complete=True, summary="; ".join(said)[:600])

    def _drain(self, target: Target, request: StepRequest) -> tuple[int, list[Failure]]:
        """Evict all there is to evict; those that do not go are failures that say what keeps them."""
        end, pause = time.monotonic() + self._within, _FIRST_PAUSE
        gone: set[str] = set()
        seen: set[str] = set()
        refused: dict[str, FirebreakError] = {}
        evidence = evidence_uids(self._doors.store, request)
        while True:
            leaving = sorted_pods(self._doors.kubernetes, target.name, evidence).leaving
            left = {p["metadata"]["uid"] for p in leaving}
            gone |= seen - left
            seen |= left
            if not leaving:
                return len(gone), []
            if time.monotonic() > end:
                return len(gone), list(self._stuck(leaving, refused, request.step.step))
            refused = {}
            for pod in leaving:
                beat()
                if not pod["metadata"].get("deletionTimestamp"):
                    self._evict(pod, refused)
            activity.wait_for_cancelled_sync(timedelta(seconds=pause))
            beat()
            pause = min(_LONGEST_PAUSE, pause * 1.5)

    def _evict(self, pod: JsonObject, refused: dict[str, FirebreakError]) -> None:
        """Ask for one eviction. What the budgets refuse now they may allow soon, when others are ready elsewhere."""
        metadata = pod["metadata"]
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
        }
        try:
            self._doors.kubernetes.create(object_path("Pod", metadata["namespace"], metadata["name"], "eviction"), body)
        except TargetGone:
            return
        except SYSTEMIC:
            raise
        except FirebreakError as error:
            refused[metadata["uid"]] = error

    def _stuck(
        self, leaving: Sequence[JsonObject], refused: Mapping[str, FirebreakError], step: str
    ) -> Iterator[Failure]:
        for pod in leaving[:20]:
            error = refused.get(pod["metadata"]["uid"])
            budgets = self._budgets(pod) if isinstance(error, Conflict) else []
            if budgets:
                error = Conflict(f"the disruption budget {listed(budgets)} did not allow it within {self._within:g} s")
            said = error or Conflict(f"evicted, but still there after {self._within:g} s")
            yield failure_of(step, f"Pod {pod_name(pod)}", said)

    def _budgets(self, pod: JsonObject) -> list[str]:
        """The PodDisruptionBudgets that select a pod."""
        namespace = pod["metadata"]["namespace"]
        found = self._doors.kubernetes.items(list_path("PodDisruptionBudget", namespace))
        return [
            f"{namespace}/{b['metadata']['name']}"
            for b in found
            if (selector := b["spec"].get("selector")) is not None and matches(selector, labels_of(pod))
        ]

    def _plan(self, request: StepRequest) -> StepPlan:
        changes: list[Change] = []
        notes: list[str] = []
        for target in request.step.targets:
            node = live_node(self._doors.kubernetes, target)
            if node is None:
                notes.append(f"The node {words(target.name)} is gone.")
                continue
            if not (before := field_value(node, UNSCHEDULABLE)):
                changes.append(cordon_change(request.step.step, target.name, target.uid, before))
            evidence = evidence_uids(self._doors.store, request)
            pods = sorted_pods(self._doors.kubernetes, target.name, evidence)
            changes += _evictions(request.step.step, target, pods.leaving)
            notes += self._notes(target, pods)
        return StepPlan(
            changes=tuple(changes),
            notes=tuple(notes),
            skip="" if changes else "Nothing is left that could run elsewhere.",
        )

    def _notes(self, target: Target, pods: NodePods) -> Iterator[str]:
        name = words(target.name)
        yield (
            f"{len(pods.leaving)} pods leave {name}; {len(pods.held)} stay as evidence, and {len(pods.staying)} belong "
            "to the node."
        )
        owners = sorted({str(o) for p in pods.leaving if (o := controller_of(p)) is not None})
        if owners:
            yield f"Moved off {name}: {words(listed(owners))}."
        if bare := [pod_name(p) for p in pods.leaving if controller_of(p) is None]:
            yield f"Nothing starts these pods again elsewhere: {words(listed(bare))}."
        if scratch := [pod_name(p) for p in pods.leaving if _has_scratch(p)]:
            yield f"What these pods keep in emptyDir volumes is lost: {words(listed(scratch))}."
        namespaces = sorted({p["metadata"]["namespace"] for p in pods.leaving})
        if tight := [budget for namespace in namespaces for budget in self._tight(namespace)]:
            yield f"Disruption budgets that allow no disruption at this moment: {words(listed(tight))}."

    def _tight(self, namespace: str) -> list[str]:
        found = self._doors.kubernetes.items(list_path("PodDisruptionBudget", namespace))
        return [
            f"{namespace}/{b['metadata']['name']}"
            for b in found
            if int((b.get("status") or {}).get("disruptionsAllowed") or 0) == 0
        ]


class NodePodsKind:
    """The pods that leave a node: known for the record, and brought back by nothing."""

    undoable = False

    def __init__(self, doors: Doors) -> None:
        self._kubernetes = doors.kubernetes

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """Nothing: evictions are not compared."""
        return dict.fromkeys(fields)

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Never: the step evicts the pods itself, patiently."""
        raise InputError("changes", "a change that the engine makes", str(ref))


register("NodePods", NodePodsKind)


def _evictions(step: str, target: Target, leaving: Sequence[JsonObject]) -> list[Change]:
    if not leaving:
        return []
    names: list[Any] = sorted(pod_name(p) for p in leaving)
    return [
        Change(
            step=step,
            resource=ResourceRef(kind="NodePods", name=target.name, uid=target.uid),
            summary=f"{len(leaving)} pods are evicted",
            before={_PODS: names[:_MOST_NAMED]},
            after={_PODS: None},
        )
    ]


def _has_scratch(pod: JsonObject) -> bool:
    return any("emptyDir" in v for v in pod["spec"].get("volumes") or ())

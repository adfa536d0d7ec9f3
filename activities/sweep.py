"""The activity `sweep_held_objects`: finds incidents whose containment broke since it was proved (design: Drift).

Changes outside of pods have records of their own, and each is compared with what it left (`activities.changes.drift`).
For pods it looks only where something is held: namespaces with a deny-all policy of ours, or with a pod that carries
one of our labels. There it reads every pod, because a pod that lost both labels is found by its annotation alone. What
no drift changes (the network plugin, pods that no policy reaches) is left to the incident's own verification: an
incident that is incomplete for such a reason would be woken every minute.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

from temporalio import activity

from activities.changes.drift import drifted
from activities.changes.engine import Engine
from activities.doors import Doors
from activities.isolation.admission import admission_problems
from activities.isolation.holders import UNKNOWN_PREFIX, holders_of
from activities.isolation.pods import reduce_pod
from activities.isolation.proof import LivePod, Prover
from activities.isolation.walk import stop_if_cancelled
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path
from contracts.activities import SweepRequest, SweepResult
from contracts.common import PodTarget
from contracts.names import HOLD_LABEL, LABEL_ON, MANAGED_LABEL, QUARANTINE_POLICY, QUARANTINED_LABEL, ActivityName

_STEP = "sweep"
_LONGEST_REASON = 300
_MOST_LEFT_OUT = 50
"""A selector travels in the URL, which must not become too long."""


class SweepActivities:
    """Looks after what is held."""

    def __init__(self, doors: Doors, clock: Callable[[], float] = time.time) -> None:
        self._kubernetes = doors.kubernetes
        self._engine = Engine(doors)
        self._clock = clock

    @activity.defn(name=ActivityName.SWEEP_HELD_OBJECTS)
    def sweep_held_objects(self, request: SweepRequest) -> SweepResult:
        """How many pods and changes are held, and which incidents must look again, each with the first reason.

        Raises:
            Throttled, Unavailable: The API server does not answer.
        """
        admission = admission_problems(self._kubernetes)
        provers: dict[str, Prover] = {}
        held = 0
        for namespace in self._namespaces():
            by_incident = held_pods(self._kubernetes, namespace)
            held += len({live["metadata"]["uid"] for pods in by_incident.values() for _, live in pods})
            policies = list(self._kubernetes.items(list_path("NetworkPolicy", namespace)))
            for incident, pods in by_incident.items():
                if incident not in provers:
                    provers[incident] = Prover(incident, _STEP)
                    provers[incident].cluster(admission)
                provers[incident].namespace(namespace, policies, pods)
            _beat()
        reasons = {incident: list(prover.reasons()) for incident, prover in sorted(provers.items())}
        changes, moved = drifted(self._engine, int(self._clock() // 60), _beat)
        for incident, sentences in moved.items():
            reasons.setdefault(incident, []).extend(sentences)
        return SweepResult(held=held + changes, broken={i: _short(found) for i, found in reasons.items() if found})

    def _namespaces(self) -> list[str]:
        """Where something of ours stands."""
        found: set[str] = set()
        ours = f"{MANAGED_LABEL}={LABEL_ON}"
        for policy in self._kubernetes.items(list_path("NetworkPolicy"), labelSelector=ours):
            if policy["metadata"]["name"] == QUARANTINE_POLICY:
                found.add(policy["metadata"]["namespace"])
        # Pods of a namespace that is known already need not be read for its name: that is nearly all of them.
        elsewhere = ",".join(f"metadata.namespace!={n}" for n in sorted(found)[:_MOST_LEFT_OUT])
        for label in (QUARANTINED_LABEL, HOLD_LABEL):
            selector = f"{label}={LABEL_ON}"
            for page in self._kubernetes.pages(list_path("Pod"), labelSelector=selector, fieldSelector=elsewhere):
                found.update(pod["metadata"]["namespace"] for pod in page)
                _beat()
        return sorted(found)


def held_pods(kubernetes: Kubernetes, namespace: str) -> dict[str, list[LivePod]]:
    """The pods of a namespace that incidents hold, by incident. A pod that several hold stands under each."""
    found: dict[str, list[LivePod]] = defaultdict(list)
    for page in kubernetes.pages(list_path("Pod", namespace)):
        for pod in page:
            for incident in holders_of(pod):
                if not incident.startswith(UNKNOWN_PREFIX):
                    found[incident].append((_target(pod), reduce_pod(pod)))
        _beat()
    return found


def _target(pod: JsonObject) -> PodTarget:
    metadata = pod["metadata"]
    return PodTarget(namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"])


def _short(reasons: list[str]) -> str:
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return reasons[0][:_LONGEST_REASON] + more


def _beat() -> None:
    activity.heartbeat()
    stop_if_cancelled()

"""The activity `verify_containment`: reads all anew and proves that the pods are cut off (design: Isolation, 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from temporalio import activity

from activities.assess.cluster import ClusterReader
from activities.doors import Doors
from activities.isolation.admission import admission_problems
from activities.isolation.objects import live_list
from activities.isolation.pods import FEW, live_targets
from activities.isolation.proof import LivePod, Prover
from activities.isolation.walk import stop_if_cancelled
from activities.targets import read_targets
from clients.paths import list_path
from contracts.activities import Proof, VerifyRequest
from contracts.common import PodTarget
from contracts.names import ActivityName
from contracts.states import Containment


class VerifyActivities:
    """Proves containment from live objects only."""

    def __init__(self, doors: Doors, cluster: ClusterReader | None = None) -> None:
        """Act through the doors.

        Args:
            doors: The clients.
            cluster: The cached facts of the cluster, shared with assessment so that the hot path finds them read.
        """
        self._kubernetes = doors.kubernetes
        self._store = doors.store
        self._cluster = cluster or ClusterReader(doors.kubernetes)

    @activity.defn(name=ActivityName.VERIFY_CONTAINMENT)
    def verify_containment(self, request: VerifyRequest) -> Proof:
        """The proof, with reasons and next steps when it does not hold. Changes nothing.

        Raises:
            Throttled, Unavailable: The API server does not answer.
            EvidenceError: The list of targets is not the one that was planned.
        """
        pods = read_targets(self._store, request.pods)
        if len(pods) <= FEW:
            # What the watch cache shows holds our own writes if it shows them at all. Only what speaks against
            # containment may be older than they are, and is looked at again.
            proof = self._prove(request, pods, cached=True)
            if proof.containment is not Containment.INCOMPLETE:
                return proof
        return self._prove(request, pods, cached=False)

    def _prove(self, request: VerifyRequest, pods: Sequence[PodTarget], *, cached: bool) -> Proof:
        live = live_targets(self._kubernetes, pods, _beat)
        by_namespace: dict[str, list[LivePod]] = defaultdict(list)
        for pod in pods:
            if pod.uid in live:
                by_namespace[pod.namespace].append((pod, live[pod.uid]))
        planned = frozenset(c.resource.uid for c in request.changes if c.resource.uid)
        facts = self._cluster.facts(by_namespace)
        prover = Prover(request.incident.workflow_id, request.step, facts, planned)
        prover.cluster(admission_problems(self._kubernetes, cached=cached))
        for namespace, targets in sorted(by_namespace.items()):
            policies = live_list(self._kubernetes, list_path("NetworkPolicy", namespace), cached=cached)
            prover.namespace(namespace, policies, targets)
            _beat()
        return prover.proof(datetime.now(UTC), live=len(live), gone=len(pods) - len(live))


def _beat() -> None:
    activity.heartbeat()
    stop_if_cancelled()

"""The pods on a node, told apart by what becomes of each when the node is emptied."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from activities.assess.reading import controller_of
from activities.isolation.fields import labels_of
from activities.targets import read_targets
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path
from contracts.names import HOLD_LABEL, LABEL_ON
from contracts.steps import StepRequest
from evidence.store import EvidenceStore

_MIRROR = "kubernetes.io/config.mirror"
_OVER = ("Succeeded", "Failed")


class NodePods(NamedTuple):
    """The pods of one node.

    Attributes:
        leaving: Those to evict.
        held: Evidence, which stays until the machine goes.
        staying: Of DaemonSets, static ones, and those that have ended: they belong to the node.
    """

    leaving: list[JsonObject]
    held: list[JsonObject]
    staying: list[JsonObject]


def pods_on(kubernetes: Kubernetes, node: str) -> list[JsonObject]:
    """All pods that are bound to a node."""
    return list(kubernetes.items(list_path("Pod"), fieldSelector=f"spec.nodeName={node}"))


def sorted_pods(kubernetes: Kubernetes, node: str, evidence: Collection[str]) -> NodePods:
    """The pods of a node; `evidence` are the uids of those that an incident contains."""
    found = NodePods([], [], [])
    for pod in pods_on(kubernetes, node):
        if pod["metadata"]["uid"] in evidence or labels_of(pod).get(HOLD_LABEL) == LABEL_ON:
            found.held.append(pod)
        elif _belongs_to_node(pod):
            found.staying.append(pod)
        else:
            found.leaving.append(pod)
    return found


def evidence_uids(store: EvidenceStore, request: StepRequest) -> frozenset[str]:
    """The pods that an incident contains: whatever becomes of their node, their evidence goes before."""
    return frozenset(p.uid for p in read_targets(store, request.pods))


def pod_name(pod: JsonObject) -> str:
    """`namespace/name`."""
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _belongs_to_node(pod: JsonObject) -> bool:
    owner = controller_of(pod)
    if owner is not None and owner.kind in ("DaemonSet", "Node"):
        return True
    ended = (pod.get("status") or {}).get("phase") in _OVER
    return ended or _MIRROR in (pod["metadata"].get("annotations") or {})

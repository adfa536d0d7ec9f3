"""What the cluster can do about isolation: its network plugin, foreign policies, our own admission policies.

These facts change rarely and cost many calls, so a worker reads them at most once a minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from activities.isolation.admission import admission_problems
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import group_path, list_path
from errors import FirebreakError, Forbidden, TargetGone
from plans.observed import VPC_CNI, ClusterFacts

TTL = 60.0
"""Seconds for which the facts are kept."""

# Whoever may create DaemonSets in a namespace of their own must not be able to pose as the network plugin.
_SYSTEM_NAMESPACES = frozenset({"kube-system", "calico-system", "cilium"})

_ENFORCING = {
    "cilium": "Cilium",
    "calico-node": "Calico",
    "canal": "Canal (Calico)",
    "antrea-agent": "Antrea",
    "kube-router": "kube-router",
    "weave-net": "Weave Net",
}
"""DaemonSets of plugins that enforce NetworkPolicies without being told to."""

_FOREIGN: dict[str, tuple[str, ...]] = {
    "cilium.io": ("ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies"),
    "crd.projectcalico.org": ("networkpolicies", "globalnetworkpolicies"),
    "policy.networking.k8s.io": ("adminnetworkpolicies", "baselineadminnetworkpolicies", "clusternetworkpolicies"),
    "networking.k8s.aws": ("clusternetworkpolicies", "applicationnetworkpolicies"),
}
"""Policy kinds beside NetworkPolicy, by API group. Our evaluation does not read what they say."""
_SHOWN = 20


class ClusterReader:
    """Reads the facts and keeps them for a minute. Safe to share between threads."""

    def __init__(self, kubernetes: Kubernetes, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._kubernetes = kubernetes
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[float, ClusterFacts, tuple[tuple[str, str], ...]] | None = None

    def facts(self, namespaces: Iterable[str]) -> ClusterFacts:
        """The facts as they concern pods of some namespaces: another namespace's policies say nothing about them.

        Raises:
            Throttled, Unavailable: The API server does not answer.
        """
        # One reader at a time: in a storm the others find what the first one read.
        with self._lock:
            if self._kept is None or self._clock() - self._kept[0] > TTL:
                self._kept = (self._clock(), self._read(), tuple(self._foreign_policies()))
            _, facts, foreign = self._kept
        concerned = {"", *namespaces}
        names = [what for namespace, what in foreign if namespace in concerned]
        return facts.model_copy(update={"foreign_policies": tuple(names[:_SHOWN])})

    def _read(self) -> ClusterFacts:
        try:
            daemon_sets = list(self._kubernetes.items(list_path("DaemonSet")))
        except Forbidden:
            daemon_sets = []
        enforces, cni = network_plugin(daemon_sets)
        admission_ready = not admission_problems(self._kubernetes)
        return ClusterFacts(enforces_policies=enforces, cni=cni, admission_ready=admission_ready)

    def _foreign_policies(self) -> Iterable[tuple[str, str]]:
        groups = {g["name"]: g["preferredVersion"]["version"] for g in self._kubernetes.get("/apis")["groups"]}
        for group in sorted(_FOREIGN.keys() & groups.keys()):
            for plural in _FOREIGN[group]:
                yield from self._policies_of(group, str(groups[group]), plural)

    def _policies_of(self, group: str, version: str, plural: str) -> Iterable[tuple[str, str]]:
        try:
            for item in self._kubernetes.items(group_path(group, version, plural)):
                metadata = item["metadata"]
                namespace = str(metadata.get("namespace") or "")
                yield namespace, f"{plural}.{group} {namespace + '/' if namespace else ''}{metadata['name']}"
        except TargetGone:
            return
        except (Forbidden, FirebreakError) as error:
            if error.retryable:
                raise
            yield "", f"{plural}.{group}, which could not be read ({error.code})"


def network_plugin(daemon_sets: Iterable[JsonObject]) -> tuple[bool | None, str]:
    """Whether the cluster's network plugin enforces NetworkPolicies, and its name.

    Args:
        daemon_sets: All DaemonSets; those outside of the system's namespaces are passed over.

    Returns:
        True, False, or None when the plugin is not recognised or runs on no node; and the name or "".
    """
    system = {d["metadata"]["name"]: d for d in daemon_sets if d["metadata"]["namespace"] in _SYSTEM_NAMESPACES}
    names = [label for name, label in _ENFORCING.items() if name in system and _runs(system[name])]
    aws = system.get("aws-node")
    if aws is None:
        return (True, names[0]) if names else (None, "")
    if names:
        return True, f"{VPC_CNI} with {names[0]}"
    if not _runs(aws):
        return None, VPC_CNI
    return _policies_enabled(aws), VPC_CNI


def _policies_enabled(aws_node: JsonObject) -> bool:
    """The VPC CNI enforces policies when its node agent is told to, by an argument of the agent's container.

    Source: https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy-configure.html
    """
    for container in aws_node["spec"]["template"]["spec"]["containers"]:
        if container["name"] == "aws-eks-nodeagent" or "aws-network-policy-agent" in str(container.get("image")):
            arguments = [*(container.get("command") or ()), *(container.get("args") or ())]
            return "--enable-network-policy=true" in arguments
    return False


def _runs(daemon_set: JsonObject) -> bool:
    return int((daemon_set.get("status") or {}).get("numberReady") or 0) > 0

"""Which nodes a finding means (guide N1), and what the cluster says of them.

A node is known by the uid of its object and by the instance in its providerID, `aws:///ZONE/i-…`.
Sources: https://kubernetes.io/docs/reference/labels-annotations-taints/,
https://docs.aws.amazon.com/eks/latest/userguide/associate-workload.html, https://karpenter.sh/docs/concepts/nodepools/
"""

from __future__ import annotations

import re
from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from activities.assess.reading import Reader
from clients.kubernetes import JsonObject
from clients.paths import list_path
from findings.model import Finding
from findings.subject import SubjectKind, subjects_of
from plans.observed import NodeFacts, NodeManager
from plans.situation import words

_PROVIDER: Final = re.compile(r"aws:///[a-z0-9-]+/(?P<instance>i-[0-9a-f]{8,17})")
_COMPUTE_TYPE: Final = "eks.amazonaws.com/compute-type"
_NODEPOOL: Final = "karpenter.sh/nodepool"
_FARGATE_NAME: Final = "fargate-"
_FEW: Final = 8
"""Up to so many nodes are read one by one; more of them are read as a list."""


@dataclass
class NodesRead:
    """What was read of the nodes."""

    facts: tuple[NodeFacts, ...] = ()
    total: int = 0
    cordoned_besides: int = 0


@dataclass
class NodeReads:
    """The reads, begun. They wait for nothing but the names of the nodes."""

    reader: Reader
    names: tuple[str, ...]
    instance: str
    single: dict[str, Future[JsonObject | None]] = field(default_factory=dict)
    listed: Future[list[JsonObject]] | None = None
    count: Future[JsonObject] | None = None
    cordoned: Future[list[JsonObject]] | None = None

    def result(self) -> NodesRead:
        """Wait for the reads. What may not be read is a note of the reader."""
        facts = [_read(name, self.reader.optional(f, {}, f"The node {words(name)}")) for name, f in self.single.items()]
        if self.listed is not None:
            nodes = self.reader.optional(self.listed, [], "The nodes")
            by_name = {n["metadata"]["name"]: n for n in nodes}
            facts += [_read(name, by_name.get(name)) for name in self.names]
            facts += [] if self.names else [_by_instance(nodes, self.instance)]
        total, cordoned = 0, 0
        if self.count is not None and self.cordoned is not None:
            page = self.reader.optional(self.count, {}, "The number of nodes")
            total = len(page.get("items") or ()) + int((page.get("metadata") or {}).get("remainingItemCount") or 0)
            mine = {f.name for f in facts}
            already = self.reader.optional(self.cordoned, [], "The cordoned nodes")
            cordoned = sum(n["metadata"]["name"] not in mine for n in already)
        return NodesRead(tuple(facts), total, cordoned)


def begin_node_reads(reader: Reader, finding: Finding, nodes_of_pods: Collection[str]) -> NodeReads:
    """Begin to read the nodes that a finding means: one read a node, and two short ones of how many there are."""
    called = {s.name for s in subjects_of(finding) if s.kind is SubjectKind.NODE}
    names = tuple(sorted(called | {n for n in nodes_of_pods if n}))
    reads = NodeReads(reader, names, finding.instance_id)
    kubernetes = reader.kubernetes
    if not names and not finding.instance_id:
        return reads
    if names and len(names) <= _FEW:
        reads.single = {name: reader.start(partial(reader.object, "Node", "", name)) for name in names}
    else:
        reads.listed = reader.start(lambda: list(kubernetes.items(list_path("Node"))))
    reads.count = reader.start(lambda: kubernetes.get(list_path("Node"), limit="1"))
    unschedulable = "spec.unschedulable=true"
    reads.cordoned = reader.start(lambda: list(kubernetes.items(list_path("Node"), fieldSelector=unschedulable)))
    return reads


def node_facts(node: JsonObject) -> NodeFacts:
    """One node; an item of a list does as well."""
    metadata, spec = node["metadata"], node.get("spec") or {}
    name, manager = metadata["name"], manager_of(node)
    missing = (
        f"{words(name)} is a pod's machine on Fargate: there is no node of yours to act on."
        if manager is NodeManager.FARGATE
        else ""
    )
    return NodeFacts(
        name=name,
        uid=metadata["uid"],
        instance_id=instance_of(node),
        manager=manager,
        cordoned=bool(spec.get("unschedulable")),
        missing=missing,
    )


def instance_of(node: JsonObject) -> str:
    """The EC2 instance behind a node, or empty."""
    match = _PROVIDER.fullmatch(str((node.get("spec") or {}).get("providerID") or ""))
    return match["instance"] if match else ""


def manager_of(node: JsonObject) -> NodeManager:
    """Who runs the machine. A kubelet may label its own node, so no label alone takes a node out of our hands.

    What it cannot choose is the node's name, and the providerID once that is set: Fargate's machines have no instance,
    and EKS Auto Mode names its nodes by it.
    Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
    """
    name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
    instance, compute = instance_of(node), labels.get(_COMPUTE_TYPE, "")
    if not instance and name.startswith(_FARGATE_NAME):
        return NodeManager.FARGATE
    if compute == "auto" and instance and name == instance:
        return NodeManager.AUTO
    return NodeManager.KARPENTER if _NODEPOOL in labels else NodeManager.EC2


def _by_instance(nodes: list[JsonObject], instance: str) -> NodeFacts:
    for node in nodes:
        if instance_of(node) == instance:
            return node_facts(node)
    sentence = f"The instance {words(instance)} is no node of this cluster."
    return NodeFacts(name=instance, instance_id=instance, missing=sentence)


def _read(name: str, node: JsonObject | None) -> NodeFacts:
    if node:
        return node_facts(node)
    # A node that may not be read is a target all the same: its steps will say what is missing.
    gone = f"There is no node {words(name)} in the cluster (any more)."
    return NodeFacts(name=name, missing=gone if node is None else "")

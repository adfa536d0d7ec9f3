"""Everything that the cluster says about a finding, read with few calls and as many at once as possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from activities.assess import surroundings
from activities.assess.bound import BindingReads
from activities.assess.cluster import ClusterReader
from activities.assess.identify import Identified, identify_pods
from activities.assess.images import ImageUse, find_image_use
from activities.assess.nodes import NodesRead, begin_node_reads
from activities.assess.owners import follow_owners
from activities.assess.pods import with_workload
from activities.assess.reading import Reader
from clients.kubernetes import JsonObject
from clients.paths import object_path
from findings.model import Finding
from findings.subject import SubjectKind, subjects_of
from plans.digest import targets_sha256 as targets_sha256_of
from plans.model import Path
from plans.observed import ClusterFacts, Observed, PodFacts, PolicyFacts, Provenance, WorkloadFacts
from plans.routing import named_workloads, routes_of

_MOST_SHARED = 3
"""Of so many service accounts and nodes it is said who else uses them."""


@dataclass
class Observation:
    """What was observed. `policies` are the live NetworkPolicies that select a target; `pods` are all targets."""

    found: Identified = field(default_factory=Identified)
    cluster: ClusterFacts = field(default_factory=ClusterFacts)
    workloads: tuple[WorkloadFacts, ...] = ()
    policies: list[JsonObject] = field(default_factory=list)
    terminating: tuple[str, ...] = ()
    services_left_empty: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    nodes: NodesRead = field(default_factory=NodesRead)
    images: ImageUse | None = None
    """None where the image path is not open, so that nobody searched."""
    bound_accounts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def pods(self) -> Sequence[PodFacts]:
        """All targets, sorted by namespace and name."""
        return self.found.pods

    def observed(self, provenance: Provenance, *, most: int, targets_sha256: str, budget_refusal: str = "") -> Observed:
        """As the planner takes it: at most `most` pods, and a hash for the rest."""
        return Observed(
            provenance=provenance,
            cluster=self.cluster,
            pods=tuple(self.pods[:most]),
            pod_count=len(self.pods),
            targets_sha256=targets_sha256,
            uid_mismatch=self.found.uid_mismatch,
            vanished=self.found.vanished,
            unresolved=self.found.unresolved,
            workloads=self.workloads,
            policies=self.policy_facts(),
            terminating_namespaces=self.terminating,
            services_left_empty=self.services_left_empty,
            shared=self.shared,
            nodes=self.nodes.facts,
            node_count=self.nodes.total,
            nodes_cordoned=self.nodes.cordoned_besides,
            budget_refusal=budget_refusal,
            bound_accounts=self.bound_accounts,
            **self._of_images(most),
        )

    def _of_images(self, most: int) -> dict[str, Any]:
        """What was found of the suspected images, as fields of `Observed`."""
        use = self.images
        if use is None:
            return {}
        return {
            "images": use.images,
            "images_counted": True,
            "image_pods": tuple(use.pods[:most]),
            "image_pod_count": len(use.pods),
            "image_pod_namespaces": tuple(sorted({p.namespace for p in use.pods})),
            "image_targets_sha256": targets_sha256_of(p.uid for p in use.pods) if len(use.pods) > most else "",
            "image_workloads": use.workloads,
        }

    def policy_facts(self) -> tuple[PolicyFacts, ...]:
        """The policies as the plan tells of them."""
        return tuple(surroundings.policy_facts(p) for p in self.policies)


class _Namespace:
    """The reads that one namespace needs, begun before its pods are known."""

    def __init__(self, reader: Reader, name: str) -> None:
        self.name = name
        self.policies = reader.start(partial(surroundings.read_policies, reader.kubernetes, name))
        self.endpoints = reader.start(partial(surroundings.read_endpoints, reader.kubernetes, name))
        self.object: Future[JsonObject] = reader.start(
            partial(reader.kubernetes.get, object_path("Namespace", "", name))
        )


def observe(reader: Reader, cluster: ClusterReader, finding: Finding, beat: Callable[[], None]) -> Observation:
    """Read what a finding means in the cluster.

    Args:
        reader: Of the cluster that the finding is about.
        cluster: Its facts.
        finding: The finding.
        beat: Called on progress.

    Raises:
        Throttled, Unavailable: The API server does not answer.
    """
    expected = {w.namespace for w in named_workloads(finding)} | {namespace for namespace, _ in _accounts(finding)}
    early = None
    if not expected - {""}:
        # Where the finding names no namespace, the pods tell which ones to read.
        early = identify_pods(reader, finding, beat)
        expected = {p.namespace for p in early.pods}
    spaces = {name: _Namespace(reader, name) for name in sorted(expected - {""})}
    facts = reader.start(partial(cluster.facts, sorted(spaces)))
    paths = _paths(finding)
    # The user path rotates the accounts of the finding's pods whatever is bound to them.
    asks_for_bindings = Path.USER not in paths or Path.IMAGE in paths
    bindings = BindingReads(reader, spaces) if asks_for_bindings else None
    found = early or identify_pods(reader, finding, beat)
    beat()
    targets = frozenset(p.uid for p in found.pods)
    # Containment of pods alone does not wait for the nodes.
    opens_nodes = Path.NODE in _paths(finding, found)
    sharing = _start_sharing(reader, finding, found, targets, opens_nodes=opens_nodes)
    nodes = begin_node_reads(reader, finding, {p.node for p in found.pods}) if opens_nodes else None
    owners = follow_owners(reader, found.pods, found.named)
    beat()
    found.pods = [with_workload(pod, owners.tops) for pod in found.pods]
    policies: list[JsonObject] = []
    endpoints: dict[str, dict[str, set[str]]] = {}
    terminating: list[str] = []
    for name, space in spaces.items():
        read: list[JsonObject] = reader.optional(space.policies, [], f"The NetworkPolicies of {name}")
        policies += read
        endpoints[name] = reader.optional(space.endpoints, {}, f"The EndpointSlices of {name}")
        about = reader.optional(space.object, {}, f"The namespace {name}")
        if (about.get("metadata") or {}).get("deletionTimestamp"):
            terminating.append(name)
    workloads = owners.workloads(found.named)
    use = find_image_use(reader, finding, found.pods, workloads, beat) if Path.IMAGE in paths else None
    everybody = (*found.pods, *(use.pods if use is not None else ()))
    bound = bindings.bound(everybody) if bindings is not None else ()
    nodes_read = nodes.result() if nodes is not None else NodesRead()
    shared = [f"{what}: {who}" for what, future in sharing if (who := reader.optional(future, "", what))]
    return Observation(
        found=found,
        cluster=facts.result(),
        workloads=workloads,
        policies=surroundings.selecting(policies, found.pods),
        terminating=tuple(terminating),
        services_left_empty=surroundings.left_empty(endpoints, targets),
        shared=tuple(shared),
        nodes=nodes_read,
        images=use,
        bound_accounts=bound,
        notes=(*found.notes, *(use.notes if use is not None else ()), *reader.notes),
    )


def _start_sharing(
    reader: Reader, finding: Finding, found: Identified, targets: frozenset[str], *, opens_nodes: bool
) -> list[tuple[str, Future[str]]]:
    """Begin to ask who else uses the targets' service accounts and, where the node path is open, their nodes."""
    asked: list[tuple[str, Future[str]]] = []
    callers = _accounts(finding)
    accounts = sorted({*surroundings.accounts_of(found.pods), *callers})[:_MOST_SHARED]
    # Without a workload in the finding, every pod of the account is a target already.
    for namespace, name in accounts if named_workloads(finding) else ():
        role = ", which made the call," if (namespace, name) in callers else ""
        what = f"The service account {namespace}/{name}{role} is also used by pods that are no targets"
        task = partial(surroundings.beside, reader.kubernetes, "spec.serviceAccountName", name, namespace, targets)
        asked.append((what, reader.start(task)))
    if opens_nodes:
        for node in sorted({p.node for p in found.pods if p.node})[:_MOST_SHARED]:
            task = partial(surroundings.beside, reader.kubernetes, "spec.nodeName", node, "", targets)
            asked.append((f"The node {node} also runs", reader.start(task)))
    return asked


def _paths(finding: Finding, found: Identified | None = None) -> frozenset[Path]:
    """The paths that open for a finding: by what it says alone, or with the pods that were found for it."""
    seen = None
    if found is not None:
        seen = Observed(provenance=Provenance(confirmed=False, reason=""), pods=tuple(found.pods))
    return frozenset(route.path for route in routes_of(finding, seen))


def _accounts(finding: Finding) -> set[tuple[str, str]]:
    """Namespace and name of the service accounts that the finding is about."""
    return {(s.namespace, s.name) for s in subjects_of(finding) if s.kind is SubjectKind.SERVICE_ACCOUNT}

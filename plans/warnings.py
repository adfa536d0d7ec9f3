"""What a plan would take down, and what it could not find out: one sentence each, for whoever decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from findings.workload import WorkloadKind
from plans.model import Path, Step
from plans.observed import NodeManager, Observed, PodFacts
from plans.paths.node import nodes_of
from plans.paths.pod import PATCHABLE, owners
from plans.paths.roles import left_alone
from plans.situation import Situation, clause, listed, words

_STRONGER = "the next stronger step is to cordon and isolate the node"
_UNREACHED: tuple[tuple[Callable[[PodFacts], bool], str, str], ...] = (
    (lambda p: p.host_network, "that use the network of their node", _STRONGER),
    (lambda p: p.windows, "on Windows", _STRONGER),
    (lambda p: p.fargate, "on Fargate", "there is no node of yours to isolate, so the next stronger step is deletion"),
)
"""Where a NetworkPolicy does not reach (design: Isolation, 6)."""


def warnings_of(s: Situation, steps: tuple[Step, ...], *, sample_ends_here: bool) -> tuple[str, ...]:
    """All warnings, each once, the most general first."""
    return tuple(dict.fromkeys(_all(s, steps, sample_ends_here)))


def _all(s: Situation, steps: tuple[Step, ...], sample_ends_here: bool) -> Iterator[str]:
    if sample_ends_here:
        yield "This is a sample finding: nothing is carried out."
    for route in s.routes:
        if route.doubt:
            yield route.doubt
    if s.observed is None:
        yield (
            "Offline: provenance, budget and cluster state were not checked. Decisions hold if GuardDuty confirms the "
            "finding, the budget allows it and the targets are what the finding says."
        )
        if any(w.kind is not WorkloadKind.POD for w in s.workloads) or s.chosen_by_account:
            yield "Offline: the pods are not known; the workload or service account stands for all of its pods."
        if any(w.kind is WorkloadKind.POD for w in s.workloads):
            yield "Offline: the owner of the pod is not known; if it has one, its redeployment is planned too."
        return
    yield from _about_the_targets(s, s.observed)
    if any(step.path.value in ("pod", "image") for step in steps):
        yield from _about_reach(s, s.observed)
        yield from _about_owners(s, s.observed)
        if accounts := left_alone(s):
            yield f"Protected, so whoever was in the pods keeps their tokens until a person acts: {listed(accounts)}."
    if any(step.path is Path.NODE for step in steps):
        yield from _about_nodes(s)
    yield from _about_the_cluster(s.observed)
    for service in s.observed.services_left_empty:
        yield f"The Service {words(service)} is left without a ready endpoint."
    yield from (f"{clause(sentence)}." for sentence in s.observed.shared)


def _about_the_targets(s: Situation, observed: Observed) -> Iterator[str]:
    if not observed.provenance.confirmed:
        yield f"GuardDuty has not confirmed the finding: {clause(observed.provenance.reason)}."
    if observed.uid_mismatch:
        yield "The object under the name in the finding is not the one that the finding is about: its uid differs."
    if observed.vanished:
        yield "What the finding names is gone; the targets are what its owner runs now."
    if observed.unresolved:
        yield f"The pods could not be determined for certain: {clause(observed.unresolved)}."
    if s.pod_count > len(s.pods) and not observed.targets_sha256:
        yield f"Only {len(s.pods)} of {s.pod_count} pods were listed, and no hash covers the others."
    if nameless := [f"{w.namespace}/{w.name}" for w in s.workloads if not w.uid]:
        yield f"The finding gives no uid, so these were found by name alone: {listed(nameless)}."
    held = [f"{p.namespace}/{p.name}" for p in s.pods if p.holders]
    if held:
        yield f"Another incident holds {listed(held)} already; only the last release sets them free."


def _about_reach(s: Situation, observed: Observed) -> Iterator[str]:
    for matches, where, stronger in _UNREACHED:
        if pods := _named(s, matches):
            yield f"A NetworkPolicy does not reach pods {where}: {pods}. The labels still hold them; {stronger}."
    cni = observed.cluster.cni.lower()
    if "calico" not in cni and "cilium" not in cni and (pods := _named(s, lambda p: p.owner is None)):
        yield f"The VPC CNI enforces NetworkPolicies only on pods with an owner, which these lack: {pods}."
    if pods := _named(s, lambda p: p.static):
        yield f"Static pods come back from the manifest folder of their node until it is cleaned: {pods}."
    if pods := _named(s, lambda p: p.terminating):
        yield f"Pods that are being deleted already, and their evidence with them: {pods}."
    if observed.terminating_namespaces:
        namespaces = listed(observed.terminating_namespaces)
        yield f"Namespaces that are being deleted, so that no policy can be created in them: {namespaces}."


def _about_owners(s: Situation, observed: Observed) -> Iterator[str]:
    if other := [str(r) for r in owners(s) if r.kind not in PATCHABLE]:
        yield f"Pod templates that cannot be changed, so that their source must be repaired by hand: {listed(other)}."
    if pods := _named(s, lambda p: p.owner is None and p.workload is None and not p.static):
        yield f"Pods without an owner, so that nothing starts a replacement: {pods}."
    for workload in observed.workloads:
        name = words(str(workload.ref))
        if workload.replicas == 0 and workload.ref.kind not in ("CronJob", "Job", "DaemonSet"):
            yield f"{name} is scaled to zero: a fixed template starts nothing until it is scaled up."
        if workload.paused:
            yield f"{name} is paused: a rollout does not begin until it is resumed."
        if workload.strategy == "OnDelete":
            yield f"{name} replaces a pod only when it is deleted (strategy OnDelete)."


def _about_nodes(s: Situation) -> Iterator[str]:
    nodes = nodes_of(s)
    yield from (n.missing for n in nodes if n.missing)
    if cordoned := [n.name for n in nodes if n.cordoned]:
        yield f"Nodes that take no new pods already; whoever cordoned them undoes it: {listed(cordoned)}."
    if theirs := [n.name for n in nodes if n.manager is NodeManager.AUTO]:
        yield f"EKS Auto Mode runs the machines of {listed(theirs)}: only what Kubernetes can do of them is done."


def _about_the_cluster(observed: Observed) -> Iterator[str]:
    cluster = observed.cluster
    cni = words(cluster.cni) or "the network plugin"
    if cluster.enforces_policies is False:
        yield f"{cni} does not enforce NetworkPolicies here: a quarantine cuts nothing, and {_STRONGER}."
    elif cluster.enforces_policies is None:
        yield "It is not known whether this cluster enforces NetworkPolicies."
    if cluster.foreign_policies:
        yield f"Policies that Firebreak does not evaluate may let traffic through: {listed(cluster.foreign_policies)}."
    if not cluster.admission_ready:
        yield "Firebreak's admission policies are not installed: others can take quarantine and hold off a pod."
    for policy in observed.policies:
        if policy.managed_by:
            owner = words(policy.managed_by)
            yield f"{words(str(policy.ref))} is managed by {owner}, which may revert the change of its selector."


def _named(s: Situation, matches: Callable[[PodFacts], bool]) -> str:
    return listed([f"{p.namespace}/{p.name}" for p in (*s.pods, *s.image_pods) if matches(p)])

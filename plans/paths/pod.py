"""Compromised pods: cut them off, keep their evidence, end their roles, replace and delete them (guide P1 to P9)."""

from __future__ import annotations

from findings.workload import WorkloadKind
from plans import causes
from plans.drafts import Draft
from plans.model import Gate, ResourceRef, Target, TargetKind
from plans.observed import PodFacts
from plans.paths import roles
from plans.situation import Situation, clause, listed

PATCHABLE = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "CronJob")
"""Kinds whose pod template can be changed. A Job's cannot; a node (static pods) and unknown kinds have none."""

_PATCHABLE_WORDS = frozenset(kind.lower() for kind in PATCHABLE)

NEEDS_IMAGE = "The approval must carry the fixed image by its digest."
_STATIC = "A static pod comes back from the manifest folder of its node, so deleting it repairs nothing."


def steps(s: Situation) -> tuple[Draft, ...]:
    """Quarantine, collect, redeploy where the pods have an owner, delete."""
    targets = pod_targets(s)
    common = Draft(
        action="",
        targets=targets,
        undo="",
        causes=tuple(causes.of_the_pods(s)),
        never="" if targets else _no_pods(s),
        namespaces=s.pod_namespaces,
        total=s.pod_count,
        sha256=s.observed.targets_sha256 if s.observed is not None and s.pod_count > len(s.pods) else "",
    )
    quarantine = common._replace(
        action="quarantine",
        gate=Gate.CONTAIN,
        undo="`firebreak release` takes both labels off and puts the selectors of the other policies back.",
        proves=True,
    )
    collect = common._replace(action="collect", undo=reading(s))
    return (quarantine, collect, *roles.of_pods(s), *_redeploy(s, common), _delete(s, common))


def reading(s: Situation) -> str:
    """What the approver is told of collecting: whether it does more than read."""
    if not s.policy.node_view_image:
        return "Nothing to undo: it only reads."
    return "Nothing to undo: it only reads, with a pod of its own on each node, which ends by itself."


def pod_targets(s: Situation) -> tuple[Target, ...]:
    """The pods that were found; offline what the finding names stands for them."""
    if s.observed is not None:
        return tuple(pod_target(p) for p in s.pods)
    if not s.workloads:
        return tuple(
            Target(kind=TargetKind.SERVICE_ACCOUNT, namespace=a.namespace, name=a.name) for a in s.chosen_by_account
        )
    return tuple(
        Target(
            kind=TargetKind.POD if w.kind is WorkloadKind.POD else TargetKind.WORKLOAD,
            namespace=w.namespace,
            name=w.name,
            uid=w.uid,
        )
        for w in s.workloads
    )


def owners(s: Situation) -> tuple[ResourceRef, ...]:
    """The controllers at the top of the pods' ownership chains, nodes left out, and those without any pod."""
    found = [p.workload or p.owner for p in s.pods]
    found += [w.ref for w in s.observed.workloads] if s.observed is not None else []
    # The uid tells two controllers apart, and the place does where an owner was read without one.
    unique = {(r.uid or (r.kind, r.namespace, r.name)): r for r in found if r is not None and r.kind != "Node"}
    return tuple(unique.values())


def _redeploy(s: Situation, common: Draft) -> tuple[Draft, ...]:
    if s.observed is None:
        patchable = {(w.namespace, w.name) for w in s.workloads if w.kind.value in _PATCHABLE_WORDS}
        targets = tuple(
            t for t in common.targets if t.kind is TargetKind.WORKLOAD and (t.namespace, t.name) in patchable
        )
    else:
        targets = tuple(
            Target(kind=TargetKind.WORKLOAD, namespace=r.namespace, name=r.name, uid=r.uid)
            for r in owners(s)
            if r.kind in PATCHABLE
        )
    if not targets:
        return ()
    redeploy = common._replace(
        action="redeploy",
        targets=targets,
        total=0,
        sha256="",
        gate=Gate.ERADICATE,
        # A workload without any pod can be repaired all the same.
        never="",
        needs=NEEDS_IMAGE,
        undo="The old pod template is recorded; a failed rollout puts it back, and so does `firebreak release`.",
    )
    return (redeploy,)


def _delete(s: Situation, common: Draft) -> Draft:
    static = [p for p in s.pods if p.static]
    delete = common._replace(
        action="delete",
        gate=Gate.ERADICATE,
        undo="Nothing brings a deleted pod back; its evidence stays, and its owner starts a replacement if it has one.",
    )
    if not static:
        return delete
    remaining = tuple(t for t in common.targets if t.uid not in {p.uid for p in static})
    if not remaining:
        return delete._replace(never=_STATIC)
    # The hash stays that of the whole list, static pods included: it fixes the others all the same.
    return delete._replace(targets=remaining, total=common.total - len(static))


def pod_target(pod: PodFacts) -> Target:
    """A pod as the target of a step."""
    return Target(
        kind=TargetKind.POD,
        namespace=pod.namespace,
        name=pod.name,
        uid=pod.uid,
        node=pod.node,
        owner=pod.workload or pod.owner,
    )


def _no_pods(s: Situation) -> str:
    if s.observed is None:
        return "The finding names no pod, workload or service account."
    if s.observed.unresolved:
        return f"No pod could be determined: {clause(s.observed.unresolved)}."
    if s.observed.vanished:
        return "What the finding names is gone, and nothing runs in its place."
    names = [f"{w.kind.value} {w.namespace}/{w.name}" for w in s.workloads]
    names += [f"service account {a.namespace}/{a.name}" for a in s.chosen_by_account]
    return f"No pod runs for {listed(names)}." if names else "The finding names no pod, workload or service account."

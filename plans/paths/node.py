"""Compromised nodes: cordon and protect, keep the evidence, rotate what ran there, replace the machine (N1 to N4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from findings.subject import SubjectKind
from plans import causes
from plans.drafts import Draft
from plans.model import Gate, ResourceRef, Target, TargetKind
from plans.observed import NodeFacts, NodeManager
from plans.situation import Situation, listed, words

_UNKNOWN: Final = "The node is not known before the cluster says where the pod runs."
_AUTO_MODE: Final = (
    "EKS Auto Mode runs this machine, and EC2 refuses changes of it to anybody else: delete its NodeClaim by hand."
)
_CUTS_ALL: Final = "Isolating a node cuts off every pod that runs on it, and the node itself from the cluster."


def steps(s: Situation) -> tuple[Draft, ...]:
    """Cordon, protect, isolate; collect, review, snapshot; rotate and take the role away; drain and terminate."""
    facts = nodes_of(s)
    targets = tuple(_target(n) for n in facts if not n.missing)
    common = Draft(
        action="",
        targets=targets,
        undo="",
        causes=(*causes.of_the_pods(s), *_budget(s, targets)),
        never="" if targets else _nothing(facts),
        namespaces=s.pod_namespaces,
    )
    machines = _on_machines(common, facts)
    read = common._replace(undo="Nothing to undo: it only reads.")
    return (
        common._replace(
            action="cordon", gate=Gate.CONTAIN, undo="`firebreak release` makes the node schedulable.", proves=True
        ),
        common._replace(
            action="protect",
            gate=Gate.CONTAIN,
            undo="`firebreak release` takes back the protection from termination, scale-in and consolidation.",
        ),
        machines._replace(
            action="isolate",
            gate=Gate.CONTAIN,
            causes=(*machines.causes, _CUTS_ALL),
            undo="`firebreak release` gives each network interface its security groups back.",
            # A pod that reaches its node is proved by the path of the pods; a node that acted itself, only by this.
            proves=is_about_the_node(s),
        ),
        read._replace(action="collect"),
        read._replace(action="review_accounts"),
        machines._replace(
            action="snapshot",
            undo="Nothing to undo: it adds snapshots, which stay as evidence until somebody deletes them.",
        ),
        common._replace(
            action="rotate_accounts",
            gate=Gate.CREDENTIALS,
            undo="Nothing brings the old tokens back; each account keeps its name and fields.",
        ),
        machines._replace(
            action="replace_profile",
            gate=Gate.CREDENTIALS,
            undo="`firebreak release` gives the instance its profile back while it lives.",
        ),
        common._replace(action="drain", gate=Gate.TERMINATE, undo="Nothing brings evicted pods back to the node."),
        machines._replace(
            action="terminate",
            gate=Gate.TERMINATE,
            undo="Nothing brings a terminated node back; its snapshots stay, and its group starts another.",
        ),
    )


def nodes_of(s: Situation) -> tuple[NodeFacts, ...]:
    """The nodes that called, the nodes of the pods, and the instance that the finding names, as far as known."""
    if s.observed is not None and s.observed.nodes:
        return tuple(sorted(s.observed.nodes, key=lambda n: n.name))
    names = {u.name for u in s.subjects if u.kind is SubjectKind.NODE} | {p.node for p in s.pods if p.node}
    names |= {s.finding.instance_id} if s.finding.instance_id and not names else set()
    return tuple(NodeFacts(name=n) for n in sorted(names))


def node_targets(s: Situation) -> tuple[Target, ...]:
    """The nodes that can be acted on."""
    return tuple(_target(n) for n in nodes_of(s) if not n.missing)


def is_about_the_node(s: Situation) -> bool:
    """Whether a node itself did what the finding tells of, and not only a pod that reaches it."""
    return any(u.kind is SubjectKind.NODE for u in s.subjects) or not s.pods


def _target(node: NodeFacts) -> Target:
    instance = ResourceRef(kind="Instance", name=node.instance_id) if node.instance_id else None
    return Target(kind=TargetKind.NODE, name=node.name, uid=node.uid, node=node.name, owner=instance)


def _nothing(facts: Iterable[NodeFacts]) -> str:
    return " ".join(n.missing for n in facts if n.missing) or _UNKNOWN


def _on_machines(common: Draft, facts: tuple[NodeFacts, ...]) -> Draft:
    """The same for what is done to the machine itself, which EKS Auto Mode allows to nobody."""
    theirs = {n.name for n in facts if n.manager is NodeManager.AUTO}
    targets = tuple(t for t in common.targets if t.name not in theirs)
    return common._replace(targets=targets, never=common.never or ("" if targets else _AUTO_MODE))


def _budget(s: Situation, targets: tuple[Target, ...]) -> list[str]:
    """Whether so many nodes may be taken out of service by themselves: for the incident, and of the whole cluster."""
    found = []
    limit = s.policy.budget.incident_nodes
    if len(targets) > limit:
        found.append(f"{len(targets)} nodes are more than the {limit} that one incident may contain by itself.")
    if s.observed is None or not s.observed.nodes or not targets:
        return found
    if not s.observed.node_count:
        return [*found, "The nodes of the cluster could not be counted, so nobody knows what share of them this is."]
    percent, total = s.policy.budget.nodes_percent, s.observed.node_count
    # Of a small cluster one node is always more than a tenth.
    allowed = max(1, int(total * percent / 100)) if percent else 0
    out = s.observed.nodes_cordoned + len(targets)
    if out > allowed:
        found.append(
            f"With {listed([words(t.name) for t in targets])}, {out} of {total} nodes would take no new pods, more "
            f"than the {percent:g} % ({allowed}) that Firebreak may contain by itself."
        )
    return found

"""Compromised nodes: cordon and protect, keep the evidence, rotate what ran there, replace the machine (N1 to N4)."""

from __future__ import annotations

from findings.subject import SubjectKind
from plans import causes
from plans.drafts import Draft
from plans.model import Gate, Target, TargetKind
from plans.situation import Situation


def steps(s: Situation) -> tuple[Draft, ...]:
    """Cordon, protect, collect, review; rotate and replace the role; drain and terminate."""
    targets = node_targets(s)
    limit = s.policy.budget.incident_nodes
    over = (
        [f"{len(targets)} nodes are more than the {limit} that one incident may contain by itself."]
        if len(targets) > limit
        else []
    )
    common = Draft(
        action="",
        targets=targets,
        undo="",
        causes=(*causes.of_the_pods(s), *over),
        never="" if targets else "The node is not known before the cluster says where the pod runs.",
        namespaces=s.pod_namespaces,
    )
    read = common._replace(undo="Nothing to undo: it only reads.")
    return (
        common._replace(action="cordon", gate=Gate.CONTAIN, undo="`firebreak release` makes the node schedulable."),
        common._replace(
            action="protect",
            gate=Gate.CONTAIN,
            undo="`firebreak release` takes back the protection from termination, scale-in and consolidation.",
        ),
        read._replace(action="collect"),
        read._replace(action="review_accounts"),
        common._replace(
            action="rotate_accounts",
            gate=Gate.CREDENTIALS,
            undo="Nothing brings the old tokens back; each account keeps its name and fields.",
        ),
        common._replace(
            action="replace_profile",
            gate=Gate.CREDENTIALS,
            undo="The old instance profile is recorded and can be put back while the node lives.",
        ),
        common._replace(action="drain", gate=Gate.TERMINATE, undo="Nothing brings evicted pods back to the node."),
        common._replace(
            action="terminate",
            gate=Gate.TERMINATE,
            undo="Nothing brings a terminated node back; its snapshots stay, and its group starts another.",
        ),
    )


def node_targets(s: Situation) -> tuple[Target, ...]:
    """The nodes that called, the nodes of the pods, and the instance that the finding names."""
    names = {u.name for u in s.subjects if u.kind is SubjectKind.NODE} | {p.node for p in s.pods if p.node}
    names |= {s.finding.instance_id} if s.finding.instance_id and not names else set()
    return tuple(Target(kind=TargetKind.NODE, name=n, node=n) for n in sorted(names))

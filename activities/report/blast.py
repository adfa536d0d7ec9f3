"""The blast radius: the finding, whom or what it accuses, the pods, their nodes, and the identities that were reached.

Only what the incident itself knows is drawn: the plan's targets, the pods, and the objects of the changes. That a pod
runs on a node is known of each; beside that a layer as a whole leads to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from activities.report.facts import Facts
from activities.report.fate import (
    NAMED,
    NOTHING_SAID,
    Tone,
    change_fate,
    node_fate,
    pod_fate,
    steps_done,
    subject_fate,
)
from activities.report.words import count
from contracts.common import PodTargets
from findings.subject import SubjectKind
from plans.model import Target, TargetKind

MOST_BOXES: Final = 8
"""Of a layer. A picture is for seeing at once how far it reaches; the tables below it name the others."""

_IDENTITIES: Final = (TargetKind.SERVICE_ACCOUNT, TargetKind.BINDING)
_ACCUSED: Final = (TargetKind.SUBJECT, TargetKind.IMAGE, TargetKind.SERVICE)
_KINDS: Final = {
    "AccessEntry": "EKS access entry",
    "AccessKey": "access key",
    "AwsAuthRow": "row of aws-auth",
    "Certificate": "certificate",
    "ClusterRoleBinding": "ClusterRoleBinding",
    "DeletedAccessKey": "access key",
    "ExternalSecret": "Secret",
    "IdentityProviderConfig": "identity provider",
    "InstanceProfile": "instance profile",
    "PodIdentityAssociation": "Pod Identity",
    "RoleBinding": "RoleBinding",
    "RolePolicy": "IAM role",
    "RoleTrust": "IAM role",
    "Secret": "Secret",
    "SecretsManagerSecret": "Secrets Manager",
    "ServiceAccount": "service account",
    "ServiceAccountIdentity": "service account",
    "TokenSecret": "token Secret",
    "UserPolicy": "IAM user",
}
"""Kinds of changed objects that are an identity, a right or a secret, and what they are called."""


@dataclass(frozen=True)
class Box:
    """One thing in the picture.

    Attributes:
        id: Unique in the picture.
        kind: What it is, in our own words.
        name: What it is called: text from outside. Empty for a box that stands for many.
        status: What became of it, in our own words.
        notes: Further lines from outside: the workload of a pod, for example.
        places: The ids of the boxes that it runs on.
        more: How many the box stands for; 0 for one that stands for itself.
    """

    id: str
    kind: str
    name: str = ""
    status: str = ""
    tone: Tone = Tone.PLAIN
    notes: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Layer:
    """Boxes of one kind, and what they are as a whole.

    Attributes:
        reached_from: The layer from which this one is reached, by its place; None for the first.
    """

    title: str
    boxes: tuple[Box, ...]
    reached_from: int | None = None


def blast_radius(facts: Facts) -> tuple[Layer, ...]:
    """The layers that have anything in them, each behind the one from which it is reached."""
    nodes = _nodes(facts)
    places = {box.name: box.id for box in nodes}
    layers: list[Layer] = []
    pods = _pods(facts, places)
    for title, boxes in (
        ("Finding", [_finding(facts)]),
        ("Accused", _accused(facts)),
        ("Workloads and pods", [*_workloads(facts), *pods]),
        ("Nodes", nodes),
        ("Roles, accounts, secrets", _identities(facts)),
    ):
        if boxes:
            reached_from = _before(layers, title)
            layers.append(Layer(title, tuple(_few(boxes)), reached_from))
    return tuple(layers)


def _before(layers: Sequence[Layer], title: str) -> int | None:
    """An identity is reached from the pods that have it, and not because they share a node with anything."""
    if title == "Roles, accounts, secrets":
        pods = next((n for n, layer in enumerate(layers) if layer.title == "Workloads and pods"), None)
        if pods is not None:
            return pods
    return len(layers) - 1 if layers else None


def _finding(facts: Facts) -> Box:
    finding = facts.finding
    severity = f"severity {finding.severity:g} ({finding.band.value})"
    return Box("finding", "GuardDuty finding", finding.type, severity, Tone.OPEN)


def _accused(facts: Facts) -> list[Box]:
    found: list[Box] = []
    subject = facts.plan.subject if facts.plan else None
    fate = subject_fate(facts.view)
    if subject is not None and subject.kind is not SubjectKind.NONE:
        name = f"{subject.namespace}/{subject.name}" if subject.namespace else subject.name
        found.append(Box("subject", subject.kind.value.replace("-", " "), name or subject.username, *fate))
    known = {box.name for box in found}
    for number, target in enumerate(t for t in facts.others if t.kind in _ACCUSED):
        if _named(target) not in known:
            status = fate if target.kind is TargetKind.SUBJECT else NOTHING_SAID
            found.append(Box(f"accused-{number}", target.kind.value, _named(target), *status))
    return found


def _workloads(facts: Facts) -> Iterator[Box]:
    """Workloads that the plan acts on and none of whose pods is named beside them."""
    pods = (*facts.view.pods.inline, *facts.view.image_pods.inline)
    owners = {(p.workload.namespace, p.workload.name) for p in pods if p.workload}
    steps = facts.plan.steps if facts.plan else ()
    targets = (t for s in steps for t in s.targets if t.kind is TargetKind.WORKLOAD)
    named = dict.fromkeys((t.namespace, t.name) for t in targets)
    for number, (namespace, name) in enumerate(n for n in named if n not in owners):
        yield Box(f"workload-{number}", "workload", f"{namespace}/{name}" if namespace else name)


def _pods(facts: Facts, places: dict[str, str]) -> list[Box]:
    view, found = facts.view, list[Box]()
    done = steps_done(view)
    for word, targets, deleting in (("pod", view.pods, "pod.delete"), ("image", view.image_pods, "image.delete_pods")):
        for number, pod in enumerate(targets.inline):
            owner = (str(pod.workload),) if pod.workload else ()
            status = pod_fate(view, pod, deleted=deleting in done)
            name, on = f"{pod.namespace}/{pod.name}", (places[pod.node],) if pod.node else ()
            found.append(Box(f"{word}-{number}", "pod", name, *status, notes=owner, places=on))
        if rest := _unnamed(targets):
            listed = "listed in the evidence" if targets.reference else "not named here"
            found.append(Box(f"{word}-rest", count(rest, "pod"), status=listed, more=rest))
    return found


def _unnamed(targets: PodTargets) -> int:
    return max(0, targets.count - len(targets.inline))


def _nodes(facts: Facts) -> list[Box]:
    """The nodes of the pods, and those that the plan acts on."""
    targets = {t.name: t for t in facts.others if t.kind is TargetKind.NODE}
    pods = (*facts.view.pods.inline, *facts.view.image_pods.inline)
    names = dict.fromkeys([*targets, *(p.node for p in pods if p.node)])
    running = {name: sum(p.node == name for p in pods) for name in names}
    return [
        Box(
            f"node-{number}",
            "node",
            name,
            *(node_fate(facts.view) if name in targets else (f"{running[name]} of these pods", Tone.PLAIN)),
        )
        for number, name in enumerate(names)
    ]


def _identities(facts: Facts) -> list[Box]:
    """The accounts that the plan acts on, and every identity, right and secret that was changed."""
    accused = {box.name for box in _accused(facts)}
    found = {
        (t.kind.value.replace("-", " "), _named(t)): NAMED
        for t in facts.others
        if t.kind in _IDENTITIES and _named(t) not in accused
    }
    undone = frozenset(facts.view.undone)
    for change in facts.view.changes:
        if kind := _KINDS.get(change.resource.kind):
            r = change.resource
            name = f"{r.namespace}/{r.name}" if r.namespace else r.name
            # Of several changes of one thing the one that stands says what it is like now.
            if name not in accused and found.get((kind, name), NAMED).tone is not Tone.SHUT:
                found[kind, name] = change_fate(change.key in undone)
    return [Box(f"identity-{n}", kind, name, *status) for n, ((kind, name), status) in enumerate(found.items())]


def _few(boxes: Sequence[Box]) -> Iterable[Box]:
    """The first boxes, and one that stands for the others."""
    if len(boxes) <= MOST_BOXES:
        return boxes
    kept, left = boxes[: MOST_BOXES - 1], boxes[MOST_BOXES - 1 :]
    number = sum(max(1, b.more) for b in left)
    places = tuple(dict.fromkeys(p for b in left for p in b.places))
    return [
        *kept,
        Box(f"more-{boxes[0].id}", f"{number} more", status="in the tables below", places=places, more=number),
    ]


def _named(target: Target) -> str:
    return f"{target.namespace}/{target.name}" if target.namespace else target.name

"""Which paths a finding opens, and why (guide G1 to G5, N1, P1 to P3, C1 to C4, I1).

What the finding shows comes before what its type says: a privileged container opens the node path whatever the type,
and a type that speaks of a user opens no user path when nobody was authenticated. The type adds the paths that its
guidance demands, as far as the finding names something to act on. Whatever no path can take goes to triage.
"""

from __future__ import annotations

from pydantic import BaseModel

from findings.catalogue import CatalogueEntry, Feature, lookup
from findings.model import Finding
from findings.subject import Subject, SubjectKind, subjects_of
from findings.text import cleaned
from findings.workload import WorkloadKind
from plans.model import WIRE, Path
from plans.observed import Observed

_AUTHORISED = "Only a person can say whether the change was authorised."
_UNNAMED = "The finding does not show it, only its type says so."


class Route(BaseModel):
    """One path that a finding opens.

    Attributes:
        reason: One or two sentences: what of the finding opens it.
        doubt: Why a person must approve whatever the path does, or empty.
    """

    model_config = WIRE

    path: Path
    reason: str
    doubt: str = ""


class NamedWorkload(BaseModel):
    """A workload that a finding names. `uid` is empty where the finding does not say."""

    model_config = WIRE

    kind: WorkloadKind
    namespace: str
    name: str
    uid: str = ""
    service_account: str = ""


def routes_of(finding: Finding, observed: Observed | None = None) -> tuple[Route, ...]:
    """The paths that a finding opens: at least one, each once, in the order of `Path`.

    Args:
        finding: Any finding, of a known type or not.
        observed: What the cluster said about the pods, if it was asked: it may show more than the finding does.
    """
    entry = lookup(finding.type)
    known = entry is not None and entry.in_scope
    opened = [*_by_subject(finding), *_by_workload(finding), *_by_container(finding, observed)]
    opened += _by_host_access(finding, observed)
    if entry is not None and known:
        opened += _by_type(finding, entry, {r.path for r in opened}, observed)
        if Path.USER in entry.conditional:
            # Such a type tells of a setting that somebody changed, perhaps as their work demanded.
            opened = [r if r.path is Path.CONFIGURATION else _doubted(r, _AUTHORISED) for r in opened]
    else:
        about = cleaned(finding.type, 120)
        what = "is about something else than EKS" if entry is not None else "is unknown to Firebreak"
        doubt = f"The finding type {about} {what}, so a person decides."
        opened = [_doubted(r, doubt) for r in opened]
        opened.append(Route(path=Path.TRIAGE, reason=f"The finding type {about} {what}."))
    return _merged(opened) or (
        Route(path=Path.TRIAGE, reason="The finding names no workload, identity, image or node to act on."),
    )


def named_workloads(finding: Finding) -> tuple[NamedWorkload, ...]:
    """The workloads that a finding names, those of an attack sequence included; each once."""
    found = []
    if finding.workload is not None and finding.workload.name:
        w = finding.workload
        found.append(
            NamedWorkload(kind=w.kind, namespace=w.namespace, name=w.name, uid=w.uid, service_account=w.service_account)
        )
    if finding.sequence is not None:
        # GuardDuty's own uid of a sequence resource is no Kubernetes uid, so it proves nothing about a pod.
        found += [
            NamedWorkload(kind=r.kind, namespace=r.namespace, name=r.name)
            for r in finding.sequence.resources_of("KUBERNETES_WORKLOAD")
            if r.name
        ]
    unique = {(w.kind, w.namespace, w.name): w for w in reversed(found)}
    return tuple(reversed(unique.values()))


def named_images(finding: Finding) -> tuple[str, ...]:
    """The images that a finding names, each once."""
    images = [*(finding.workload.images if finding.workload is not None else ())]
    images += [c.image for c in finding.containers]
    if finding.sequence is not None:
        images += [r.image for r in finding.sequence.resources_of("CONTAINER")]
    return tuple(dict.fromkeys(i for i in images if i))


def _by_subject(finding: Finding) -> list[Route]:
    return [route for subject in subjects_of(finding) for route in _of_subject(subject)]


def _of_subject(subject: Subject) -> list[Route]:
    name = cleaned(subject.name, 120)
    match subject.kind:
        case SubjectKind.ANONYMOUS:
            return [Route(path=Path.CONFIGURATION, reason="The caller was anonymous: there is nobody to act on.")]
        case SubjectKind.SERVICE_ACCOUNT:
            account = f"service account {cleaned(subject.namespace, 120)}/{name}"
            return [
                Route(path=Path.USER, reason=f"The caller was the {account}."),
                Route(path=Path.POD, reason=f"Pods hold the token of the {account}."),
            ]
        case SubjectKind.NODE:
            return [Route(path=Path.NODE, reason=f"The caller was the node {name}.")]
        case SubjectKind.UNRESOLVED:
            doubt = f"Only the cluster can tell what kind of identity {name} is."
            return [Route(path=Path.USER, reason=f"The caller was {name}.", doubt=doubt)]
        case SubjectKind.IAM_USER | SubjectKind.IAM_ROLE | SubjectKind.CLUSTER_ADMIN | SubjectKind.OIDC_USER:
            kind = subject.kind.value.replace("-", " ").replace("iam", "IAM").replace("oidc", "OIDC")
            return [Route(path=Path.USER, reason=f"The caller was the {kind} {name}.")]
        case SubjectKind.SYSTEM | SubjectKind.NONE:
            return []


def _by_workload(finding: Finding) -> list[Route]:
    return [
        Route(path=Path.POD, reason=f"The finding names the {w.kind.value} {cleaned(f'{w.namespace}/{w.name}', 160)}.")
        for w in named_workloads(finding)
    ]


def _by_container(finding: Finding, observed: Observed | None) -> list[Route]:
    """A finding may name nothing but a container; the cluster says in which pod it runs."""
    if observed is None or named_workloads(finding) or not any(c.id for c in finding.containers):
        return []
    pods = sorted(f"{p.namespace}/{p.name}" for p in observed.pods)
    return [
        Route(path=Path.POD, reason=f"A container of the finding runs in the pod {cleaned(p, 160)}.") for p in pods[:1]
    ]


def _by_host_access(finding: Finding, observed: Observed | None) -> list[Route]:
    """What reaches into its node may have taken it over (guide N1)."""
    found = []
    if finding.workload is not None:
        found += [f"The container {c.name} is privileged." for c in finding.workload.privileged_containers]
        if finding.workload.shares_host:
            found.append("The workload shares a namespace of its node: network, processes or IPC.")
        found += [f"The container {m.container} mounts {m.host_path}." for m in finding.workload.sensitive_mounts()]
    found += [f"The container {c.name} is privileged." for c in finding.containers if c.privileged]
    # Sorted, so that the same pods read in another order give the same plan.
    for pod in sorted(observed.pods, key=lambda p: (p.namespace, p.name, p.uid)) if observed is not None else ():
        if pod.host_network:
            found.append(f"The pod {pod.namespace}/{pod.name} shares the network of its node.")
        if any(c.privileged for c in pod.containers):
            found.append(f"The pod {pod.namespace}/{pod.name} has a privileged container.")
    # One sentence is enough to open the path, and a workload can have hundreds of pods.
    return [Route(path=Path.NODE, reason=cleaned(sentence, 300)) for sentence in found[:1]]


def _by_type(
    finding: Finding, entry: CatalogueEntry, opened: set[Path], observed: Observed | None = None
) -> list[Route]:
    """The paths of the type's guidance that the evidence has not opened, where there is something to act on."""
    added = []
    names_parts = entry.feature is Feature.ATTACK_SEQUENCE
    if Path.CONFIGURATION in entry.paths and not names_parts:
        added.append(Route(path=Path.CONFIGURATION, reason="The finding type is about a setting of the cluster."))
    if Path.IMAGE in entry.paths and named_images(finding):
        added.append(Route(path=Path.IMAGE, reason="The finding type is about what the image runs."))
    if Path.NODE in entry.paths and Path.POD in opened:
        reason = "The finding type is about reaching the node from a container."
        added.append(Route(path=Path.NODE, reason=reason, doubt="" if not names_parts else _UNNAMED))
    elif Path.NODE in entry.conditional and Path.POD in opened:
        reason = "The finding type is about a sensitive path of the node."
        added.append(Route(path=Path.NODE, reason=reason, doubt=_UNNAMED))
    if finding.instance_id and finding.cluster is not None and Path.POD not in opened:
        nodes = observed.nodes if observed is not None else ()
        known = any(n.instance_id == finding.instance_id and n.uid for n in nodes)
        doubt = f"Nobody has said yet whether {cleaned(finding.instance_id, 60)} is a node of the cluster."
        doubt = "" if known else doubt
        added.append(Route(path=Path.NODE, reason="The finding names an instance and no container.", doubt=doubt))
    return [*added, *_by_members(finding)]


def _by_members(finding: Finding) -> list[Route]:
    """What the findings inside an attack sequence are about, beside its actors and workloads."""
    if finding.sequence is None:
        return []
    members = [lookup(s.name) for s in finding.sequence.signals]
    opened = []
    if any(m is not None and Path.CONFIGURATION in m.paths for m in members):
        reason = "A finding of the sequence is about a setting of the cluster."
        opened.append(Route(path=Path.CONFIGURATION, reason=reason))
    if any(m is not None and Path.NODE in m.paths for m in members):
        reason = "A finding of the sequence is about reaching the node from a container."
        opened.append(Route(path=Path.NODE, reason=reason))
    return opened


def _doubted(route: Route, doubt: str) -> Route:
    return route.model_copy(update={"doubt": f"{route.doubt} {doubt}".strip()})


def _merged(routes: list[Route]) -> tuple[Route, ...]:
    """One route a path. A path that anything opens without doubt is not in doubt."""
    merged = []
    for path in Path:
        mine = [r for r in routes if r.path is path]
        if mine:
            sure = [r for r in mine if not r.doubt] or mine
            merged.append(
                Route(
                    path=path,
                    reason=" ".join(list(dict.fromkeys(r.reason for r in sure))[:3]),
                    doubt=" ".join(dict.fromkeys(r.doubt for r in sure)),
                )
            )
    return tuple(merged)

"""Which pods a finding means: by uid, by ownership, by service account, by container (guide P1, P2, P3).

What the finding names comes first. Only a finding that names no workload means every pod of its service account, and
only one that names neither is looked up by what a container of it is called on its node.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from activities.assess.pods import container_ids, pod_facts
from activities.assess.reading import Reader, controller_of
from clients.kubernetes import JsonObject
from clients.paths import list_path
from findings.model import Finding
from findings.subject import Subject, SubjectKind, subjects_of
from findings.text import cleaned
from findings.workload import WorkloadKind
from plans.observed import PodFacts
from plans.routing import NamedWorkload, named_workloads

KINDS: Final = {
    WorkloadKind.POD: "Pod",
    WorkloadKind.DEPLOYMENT: "Deployment",
    WorkloadKind.REPLICASET: "ReplicaSet",
    WorkloadKind.STATEFULSET: "StatefulSet",
    WorkloadKind.DAEMONSET: "DaemonSet",
    WorkloadKind.JOB: "Job",
    WorkloadKind.CRONJOB: "CronJob",
    WorkloadKind.REPLICATIONCONTROLLER: "ReplicationController",
}
_BETWEEN: Final = {"Deployment": "ReplicaSet", "CronJob": "Job"}
"""Workloads that own pods through another kind."""

# A finding about the creation of a pod is as old as the pod, give or take two clocks.
_SKEW: Final = timedelta(minutes=1)

# How controllers name what they make: five characters of an alphabet without vowels, an ordinal, or a time.
# https://github.com/kubernetes/apimachinery/blob/master/pkg/util/rand/rand.go
_GENERATED: Final = re.compile(r"(?P<owner>.+)-[bcdfghjklmnpqrstvwxz2456789]{5}")
_HASHED: Final = re.compile(r"(?P<owner>.+)-[bcdfghjklmnpqrstvwxz2456789]{1,10}")
_NUMBERED: Final = re.compile(r"(?P<owner>.+)-\d{1,10}")


@dataclass
class Identified:
    """The pods of a finding.

    Attributes:
        pods: Each once, sorted by namespace and name.
        uid_mismatch: Another uid stands under a name of the finding.
        vanished: Something that the finding names is gone; the pods of its owner stand for it.
        unresolved: Why the pods could not be determined, or "".
        named: The workload objects that were found, which have facts of their own even without any pod.
        notes: What else was noticed, a sentence each.
    """

    pods: list[PodFacts] = field(default_factory=list)
    uid_mismatch: bool = False
    vanished: bool = False
    unresolved: str = ""
    named: list[JsonObject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def identify_pods(reader: Reader, finding: Finding, beat: Callable[[], None]) -> Identified:
    """Find the pods of a finding.

    Args:
        reader: Of the cluster that the finding is about.
        finding: The confirmed copy where there is one.
        beat: Called after each page, so that a long list is seen to move.

    Raises:
        Throttled, Unavailable: The API server does not answer.
    """
    found = Identified()
    workloads = named_workloads(finding)
    accounts = [s for s in subjects_of(finding) if s.kind is SubjectKind.SERVICE_ACCOUNT]
    pods: list[PodFacts] = []
    for workload in workloads:
        pods += _pods_of_workload(reader, finding, workload, found, beat)
        beat()
    for account in accounts if not workloads else ():
        pods += _pods_of_account(reader, account, finding.user.uid if finding.user else "", found, beat)
    if not workloads and not accounts:
        pods += _pods_of_containers(reader, finding, beat)
    unique = {p.uid: p for p in pods}
    found.pods = sorted(unique.values(), key=lambda p: (p.namespace, p.name))
    return found


def _pods_of_workload(
    reader: Reader, finding: Finding, workload: NamedWorkload, found: Identified, beat: Callable[[], None]
) -> Iterable[PodFacts]:
    kind = KINDS.get(workload.kind)
    if kind is None or not workload.namespace:
        what = "kind" if kind is None else "namespace"
        found.unresolved = f"the finding does not say of which {what} the workload {cleaned(workload.name, 100)} is"
        return []
    obj = reader.object(kind, workload.namespace, workload.name)
    if obj is None:
        found.vanished = True
        return _proposed(reader, kind, workload, beat, found)
    if _is_another(obj, workload, finding):
        found.uid_mismatch = True
    if kind == "Pod":
        _note_containers(obj, finding, found)
        return [pod_facts(obj)]
    found.named.append(obj)
    return owned_pods(reader, obj, beat)


def _is_another(obj: JsonObject, workload: NamedWorkload, finding: Finding) -> bool:
    """Whether the object is not the one that the finding saw.

    Where a finding names no uid, an object that was made after the activity was last seen cannot have been part of it.
    """
    if workload.uid:
        return bool(obj["metadata"]["uid"] != workload.uid)
    last = finding.last_activity
    made = datetime.fromisoformat(obj["metadata"]["creationTimestamp"])
    return last is not None and made > last + _SKEW


def owned_pods(reader: Reader, workload: JsonObject, beat: Callable[[], None]) -> Iterator[PodFacts]:
    """The pods that a workload controls, by the uids of the owner references.

    The workload's own selector only narrows what is listed: a controller lets go of a pod that does not match it.
    """
    namespace, kind, uid = workload["metadata"]["namespace"], workload["kind"], workload["metadata"]["uid"]
    owners, selectors = {uid}, [_selector(workload)]
    if between := _BETWEEN.get(kind):
        narrowed = selectors[0] if kind == "Deployment" else ""
        middle = [
            m | {"kind": between}
            for m in reader.kubernetes.items(list_path(between, namespace), **_query(narrowed))
            if (owner := controller_of(m)) is not None and owner.uid == uid
        ]
        owners = {m["metadata"]["uid"] for m in middle}
        # All ReplicaSets of a Deployment match its selector; each Job has a selector of its own.
        selectors = selectors if kind == "Deployment" else [_selector(m) for m in middle]
    for selector in selectors if owners else ():
        for page in reader.kubernetes.pages(list_path("Pod", namespace), **_query(selector)):
            for pod in page:
                owner = controller_of(pod)
                if owner is not None and owner.uid in owners:
                    yield pod_facts(pod)
            beat()


def _pods_of_account(
    reader: Reader, account: Subject, uid: str, found: Identified, beat: Callable[[], None]
) -> list[PodFacts]:
    live = reader.start(lambda: reader.object("ServiceAccount", account.namespace, account.name))
    # The API server selects by the account, so that a namespace of 10,000 pods costs only those that use it.
    query = {"fieldSelector": f"spec.serviceAccountName={account.name}"}
    pods = []
    for page in reader.kubernetes.pages(list_path("Pod", account.namespace), **query):
        pods += [pod_facts(pod) for pod in page]
        beat()
    # An account that we may not read is not an account that is gone.
    obj = reader.optional(live, {}, f"The service account {account.namespace}/{account.name}")
    if obj is None:
        found.vanished = True
    elif obj and uid and obj["metadata"]["uid"] != uid:
        # Tokens are bound to the account's uid: pods of a new account do not hold what was stolen.
        found.uid_mismatch = True
    return pods


def _proposed(
    reader: Reader, kind: str, workload: NamedWorkload, beat: Callable[[], None], found: Identified
) -> Iterable[PodFacts]:
    """What the owner of something that is gone runs now: its name is all that is left to find the owner by (P1)."""
    candidates = sorted(set(_owner_names(kind, workload.name)))
    futures = [reader.start(partial(reader.object, k, workload.namespace, n)) for k, n in candidates]
    owners = [o for f in futures if (o := reader.optional(f, None, "An owner of what is gone")) is not None]
    tops = {o["metadata"]["uid"]: o for o in owners}
    for owner in owners:
        ref = controller_of(owner)
        top = reader.object(ref.kind, ref.namespace, ref.name) if ref and ref.kind in _BETWEEN else None
        if ref is not None and top is not None and top["metadata"]["uid"] == ref.uid:
            tops.pop(owner["metadata"]["uid"], None)
            tops[ref.uid] = top
    found.named += tops.values()
    return [pod for top in tops.values() for pod in owned_pods(reader, top, beat)]


def _owner_names(kind: str, name: str) -> Iterator[tuple[str, str]]:
    """Kinds and names of what may have made an object of this name."""
    if kind == "Pod" and (match := _GENERATED.fullmatch(name)):
        for owner in ("ReplicaSet", "DaemonSet", "Job", "ReplicationController"):
            yield owner, match["owner"]
        # The ReplicaSet may be gone with the pod, and then only the Deployment is left.
        if (deeper := _HASHED.fullmatch(match["owner"])) is not None:
            yield "Deployment", deeper["owner"]
    if kind == "Pod" and (match := _NUMBERED.fullmatch(name)):
        yield "StatefulSet", match["owner"]
    if kind == "ReplicaSet" and (match := _HASHED.fullmatch(name)):
        yield "Deployment", match["owner"]
    if kind == "Job" and (match := _NUMBERED.fullmatch(name)):
        yield "CronJob", match["owner"]


def _pods_of_containers(reader: Reader, finding: Finding, beat: Callable[[], None]) -> list[PodFacts]:
    """The pods that run, or ran, a container of the finding; the runtime's id is of one container alone."""
    seen = {c.id.rpartition("://")[2] for c in finding.containers} - {""}
    pods = []
    for page in reader.kubernetes.pages(list_path("Pod")) if seen else ():
        pods += [pod_facts(pod) for pod in page if seen & container_ids(pod)]
        beat()
    return pods


def _note_containers(pod: JsonObject, finding: Finding, found: Identified) -> None:
    """Say when a container that a runtime finding saw has been restarted since: its memory and files are gone."""
    seen = {c.id for c in finding.containers if c.id}
    if seen and not seen & container_ids(pod):
        found.notes.append("The container that the finding saw does not run in the pod any more; it was restarted.")


def _selector(workload: JsonObject) -> str:
    """A workload's selector as the API takes it in a query."""
    selector = (workload.get("spec") or {}).get("selector") or {}
    if workload["kind"] == "ReplicationController":
        selector = {"matchLabels": selector}
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], ",".join(expression.get("values") or ())
        match expression["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts)


def _query(selector: str) -> dict[str, str]:
    return {"labelSelector": selector} if selector else {}

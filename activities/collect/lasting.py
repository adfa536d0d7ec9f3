"""Objects that outlive the pod: its owners, its service account, its node, and the policies that select it."""

from __future__ import annotations

from collections.abc import Iterator

from activities.collect.case import PodCase
from activities.collect.model import Deadline, Found, Task, document
from activities.collect.redact import redact
from activities.isolation.selectors import matches, without_expression
from clients.kubernetes import JsonObject
from clients.paths import list_path, object_path
from contracts.names import HOLD_LABEL, QUARANTINED_LABEL
from errors import TargetGone
from evidence.entry import EntrySubject


def owners(case: PodCase) -> Iterator[Task]:
    """The chain of owners up to the top; what cannot be read of it is said in its place."""

    def run(deadline: Deadline) -> Found:
        deadline.check()
        chain, taken = redact(
            [{"owns": o.child, "reference": o.reference, "object": o.object, "error": o.error} for o in case.owners]
        )
        unread = [o for o in case.owners if o.object is None]
        note = "; ".join(f"{o.reference.get('kind')} {o.reference.get('name')}: {o.error}" for o in unread)
        return Found(document({"owners": chain}), "GET of each owner reference", redactions=taken, note=lambda: note)

    yield Task("owners.json", "owners", run)


def service_account(case: PodCase) -> Iterator[Task]:
    """The ServiceAccount's manifest. It names Secrets, which are not read."""

    def run(deadline: Deadline) -> Found:
        deadline.check()
        name = account_of(case)
        found = case.shared.object("ServiceAccount", case.target.namespace, name)
        copy, taken = redact(found)
        source = f"GET {object_path('ServiceAccount', case.target.namespace, name)}"
        return Found(document(copy), source, subject_of(found, "ServiceAccount"), taken)

    yield Task("service-account.json", "service-account", run)


def node(case: PodCase) -> Iterator[Task]:
    """The manifest of the node that the pod runs on."""

    def run(deadline: Deadline) -> Found:
        deadline.check()
        if not case.node:
            raise TargetGone("the pod was never scheduled to a node")
        found = case.shared.object("Node", "", case.node)
        copy, taken = redact(found)
        return Found(document(copy), f"GET {object_path('Node', '', case.node)}", subject_of(found, "Node"), taken)

    yield Task("node.json", "node", run)


def policies(case: PodCase) -> Iterator[Task]:
    """NetworkPolicies that select the pod now, and those that selected it before containment took it out of them."""

    def run(deadline: Deadline) -> Found:
        deadline.check()
        labels = case.labels
        before = {k: v for k, v in labels.items() if k not in (QUARANTINED_LABEL, HOLD_LABEL)}
        found = []
        for policy in case.shared.items("NetworkPolicy", case.target.namespace):
            selector = (policy.get("spec") or {}).get("podSelector") or {}
            earlier = {**selector, "matchExpressions": without_expression(selector.get("matchExpressions"))}
            verdict = matches(selector, labels), matches(earlier, before)
            if any(verdict):
                found.append({"selects": verdict[0], "selected_before": verdict[1], "policy": policy})
        copy, taken = redact(found)
        return Found(
            document({"policies": copy}),
            f"GET {list_path('NetworkPolicy', case.target.namespace)}, selectors evaluated",
            redactions=taken,
        )

    yield Task("network-policies.json", "network-policies", run)


def account_of(case: PodCase) -> str:
    """The name of the pod's service account."""
    return str(case.spec.get("serviceAccountName") or "default")


def subject_of(found: JsonObject, kind: str) -> EntrySubject:
    """An object as entries name it."""
    meta = found.get("metadata") or {}
    return EntrySubject(
        kind=kind, namespace=meta.get("namespace") or "", name=meta.get("name") or "", uid=meta.get("uid") or ""
    )

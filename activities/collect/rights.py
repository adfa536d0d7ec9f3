"""What a service account may do: every binding that applies to it or to its groups, with the rules of the roles.

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/ and, for the groups,
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#service-account-tokens
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from activities.collect.case import PodCase
from activities.collect.lasting import account_of
from activities.collect.model import Deadline, Found, Task, document
from activities.collect.shared import Shared, failed
from clients.kubernetes import JsonObject
from clients.paths import list_path
from errors import FirebreakError
from evidence.entry import EntrySubject

SubjectKey = tuple[str, str, str]
"""Kind, namespace and name of a subject of a binding."""


def rights(case: PodCase) -> Iterator[Task]:
    """Bindings that apply to the pod's service account, and the rules that they give."""

    def run(deadline: Deadline) -> Found:
        deadline.check()
        namespace, name = case.target.namespace, account_of(case)
        granted = granted_to(case.shared, namespace, name, deadline)
        content = {"user": f"system:serviceaccount:{namespace}:{name}", "granted": granted}
        unread = sum("error" in g for g in granted)
        return Found(
            document(content),
            f"GET {list_path('RoleBinding')}, {list_path('ClusterRoleBinding')} and the roles that they name",
            EntrySubject(kind="ServiceAccount", namespace=namespace, name=name),
            note=lambda: f"roles that could not be read: {unread}" if unread else "",
        )

    yield Task("rights.json", "rights", run)


def granted_to(shared: Shared, namespace: str, name: str, deadline: Deadline) -> list[JsonObject]:
    """Every binding that applies to a service account, with the rules of its role or why they could not be read."""
    index = shared.once("bindings", lambda: index_bindings(shared))
    granted: list[JsonObject] = []
    for key in subject_keys(namespace, name):
        for binding in index.get(key, ()):
            deadline.check()
            granted.append({"through": f"{key[0]} {key[2]}", "binding": binding, **_rules(shared, binding)})
    return granted


def subject_keys(namespace: str, name: str) -> tuple[SubjectKey, ...]:
    """Every way in which a binding can mean this account: itself, its username, and its three groups."""
    return (
        ("ServiceAccount", namespace, name),
        ("User", "", f"system:serviceaccount:{namespace}:{name}"),
        ("Group", "", f"system:serviceaccounts:{namespace}"),
        ("Group", "", "system:serviceaccounts"),
        ("Group", "", "system:authenticated"),
    )


def index_bindings(shared: Shared) -> dict[SubjectKey, list[JsonObject]]:
    """All bindings of the cluster by their subjects, reduced to what is kept of them."""
    index: dict[SubjectKey, list[JsonObject]] = defaultdict(list)
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        for binding in shared.kubernetes.items(list_path(kind)):
            kept = _kept(binding, kind)
            for key in {_key(s) for s in binding.get("subjects") or ()}:
                index[key].append(kept)
    return index


def _key(subject: JsonObject) -> SubjectKey:
    kind = str(subject.get("kind") or "")
    # A namespace means something for service accounts only.
    namespace = str(subject.get("namespace") or "") if kind == "ServiceAccount" else ""
    return kind, namespace, str(subject.get("name") or "")


def _kept(binding: JsonObject, kind: str) -> JsonObject:
    meta = binding.get("metadata") or {}
    return {
        "kind": kind,
        **{k: meta.get(k) for k in ("namespace", "name", "uid", "creationTimestamp", "resourceVersion")},
        "roleRef": binding.get("roleRef") or {},
        "subjects": binding.get("subjects") or [],
    }


def _rules(shared: Shared, binding: JsonObject) -> dict[str, Any]:
    role = binding["roleRef"]
    kind, name = str(role.get("kind") or ""), str(role.get("name") or "")
    namespace = str(binding.get("namespace") or "") if kind == "Role" else ""
    try:
        found = shared.object(kind, namespace, name)
    except FirebreakError as error:
        return {"error": failed(error)}
    meta = found.get("metadata") or {}
    return {"role": {"uid": meta.get("uid"), "rules": found.get("rules") or []}}

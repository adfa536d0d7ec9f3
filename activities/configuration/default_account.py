"""Bindings that give the `default` account of a namespace the rights of an administrator (guide C3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from activities.bindings import bindings_of, ref_of, without_subject
from activities.configuration.shared import entries_of
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path, object_path
from contracts.common import Failure
from contracts.steps import StepPlan, StepRequest
from errors import TargetGone
from findings.model import Finding
from findings.subject import SubjectKind, subjects_of
from plans.model import Change
from plans.situation import listed, words

_ADMINISTRATORS: Final = ("cluster-admin", "admin", "edit")
"""The roles of Kubernetes that may change nearly everything; `edit` may read Secrets and run as any account.
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles"""
_ACCOUNT: Final = "default"
_PREFIX: Final = "system:serviceaccount:"
_EVERYBODY: Final = ("system:serviceaccounts", "system:authenticated")
_CLUSTERS_OWN: Final = "kube-system"


class Bound(NamedTuple):
    """What makes the `default` accounts administrators."""

    bindings: tuple[JsonObject, ...]
    """They name the account."""
    through_groups: tuple[JsonObject, ...]
    """They name a group in which it is with every other account."""


def bound_of(kubernetes: Kubernetes, request: StepRequest) -> Bound:
    """The bindings, that which the finding names first; of one account, if anything tells which.

    Raises:
        Forbidden: Our identity may not list bindings or read roles.
    """
    named = request.finding.role_binding
    found = list(bindings_of(kubernetes, _is_default))
    first = [b for b in found if named is not None and _is_named(b, named.name, named.uid)]
    namespaces = _namespaces(request.finding) or {n for b in first for n in _accounts(b)} | _treated(request)
    roles: dict[str, bool] = {}
    rest = [b for b in found if b not in first and _administers(kubernetes, b, roles)]
    bindings = [b for b in (*first, *rest) if not namespaces or namespaces & _accounts(b)]
    # What is wide open for all accounts is open for this one too, whoever takes its own binding away.
    groups = [f"{_EVERYBODY[0]}:{n}" for n in sorted(namespaces)]
    everybody = bindings_of(kubernetes, lambda s: s.get("kind") == "Group" and s.get("name") in (*_EVERYBODY, *groups))
    through = [b for b in everybody if _administers(kubernetes, b, roles)]
    return Bound(tuple(bindings), tuple(through))


def plan(kubernetes: Kubernetes, request: StepRequest) -> StepPlan:
    """Take the account out of each binding; say which pods lose the rights (guide C3)."""
    bound = bound_of(kubernetes, request)
    ours = [b for b in bound.bindings if _CLUSTERS_OWN in _accounts(b)]
    failures = tuple(
        Failure(
            step=request.step.step,
            target=str(ref_of(b)),
            code="PolicyRefusal",
            message=f"{ref_of(b)} binds an account of {_CLUSTERS_OWN}, which Firebreak does not touch",
        )
        for b in ours
    )
    changes = tuple(without_subject(b, _is_default, request.step.step) for b in bound.bindings if b not in ours)
    namespaces = {n for b in bound.bindings for n in _accounts(b)} - {_CLUSTERS_OWN}
    return StepPlan(
        changes=changes,
        failures=failures,
        skip="" if bound.bindings or bound.through_groups else "no binding makes the default account an administrator",
        notes=tuple(note for n in sorted(namespaces) for note in _users(kubernetes, n)),
    )


def still_bound(kubernetes: Kubernetes, request: StepRequest) -> tuple[str, ...]:
    """What makes the account an administrator still, as read now, a sentence each."""
    bound = bound_of(kubernetes, request)
    direct = [f"{ref_of(b)} binds the default account still." for b in bound.bindings]
    groups = [
        f"{ref_of(b)} gives the same rights to every account; take it away by hand." for b in bound.through_groups
    ]
    return (*direct, *groups)


def _users(kubernetes: Kubernetes, namespace: str) -> tuple[str, ...]:
    """Who loses the rights: the pods of the namespace that name no other account."""
    pods = [
        p["metadata"]["name"]
        for p in kubernetes.items(list_path("Pod", namespace))
        if (p.get("spec") or {}).get("serviceAccountName", _ACCOUNT) == _ACCOUNT
    ]
    if not pods:
        return (f"No pod runs as {words(namespace)}/{_ACCOUNT}.",)
    return (f"These run as {words(namespace)}/{_ACCOUNT} and lose its rights: {listed(sorted(pods), 10)}.",)


def _is_default(subject: JsonObject) -> bool:
    return bool(namespace_of(subject))


def namespace_of(subject: JsonObject) -> str:
    """The namespace whose `default` account an entry names, in either way of writing it; empty for others."""
    kind, name = subject.get("kind"), str(subject.get("name", ""))
    if kind == "ServiceAccount" and name == _ACCOUNT:
        return str(subject.get("namespace", ""))
    if kind == "User" and name.startswith(_PREFIX) and name.endswith(f":{_ACCOUNT}"):
        return name.removeprefix(_PREFIX).removesuffix(f":{_ACCOUNT}")
    return ""


def _accounts(binding: JsonObject) -> set[str]:
    return {n for s in binding.get("subjects") or () if (n := namespace_of(s))}


def _treated(request: StepRequest) -> set[str]:
    """The namespaces whose account was taken out of a binding: that binding no longer tells."""
    changed = [c for c in (*request.changes, *request.made) if c.step == request.step.step]
    return {n for c in changed for n in accounts_in(c)}


def accounts_in(change: Change) -> set[str]:
    """The namespaces whose `default` account a change takes out of a binding."""
    return {n for e in entries_of(change) if (n := namespace_of(e))}


def _namespaces(finding: Finding) -> set[str]:
    """The namespaces that the finding names as those of the account; it need not name any."""
    subjects = subjects_of(finding)
    return {s.namespace for s in subjects if s.kind is SubjectKind.SERVICE_ACCOUNT and s.name == _ACCOUNT}


def _is_named(binding: JsonObject, name: str, uid: str) -> bool:
    metadata = binding["metadata"]
    return bool(metadata["uid"] == uid if uid else metadata["name"] == name)


def _administers(kubernetes: Kubernetes, binding: JsonObject, known: dict[str, bool]) -> bool:
    role = binding.get("roleRef") or {}
    kind, name = str(role.get("kind", "")), str(role.get("name", ""))
    if kind == "ClusterRole" and name in _ADMINISTRATORS:
        return True
    namespace = str(binding["metadata"].get("namespace", "")) if kind == "Role" else ""
    where = object_path("Role" if kind == "Role" else "ClusterRole", namespace, name)
    if where not in known:
        try:
            known[where] = _has_wildcards(kubernetes.get(where).get("rules") or ())
        except TargetGone:
            known[where] = False
    return known[where]


def _has_wildcards(rules: Iterable[Any]) -> bool:
    return any("*" in (r.get("verbs") or ()) and "*" in (r.get("resources") or ()) for r in rules)

"""Bindings of the cluster: whom they bind, and how one subject is taken out of them without touching the others.

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import JsonValue

from activities.changes.bindings import subject_field, subject_value
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path
from plans.model import Change, ResourceRef
from plans.situation import listed

Matches = Callable[[JsonObject], bool]
"""Whether an entry of a binding's `subjects` is the one that is meant."""


def bindings_of(kubernetes: Kubernetes, matches: Matches) -> Iterator[JsonObject]:
    """Every ClusterRoleBinding and RoleBinding that names the subject, with its `kind`.

    Raises:
        Forbidden: Our identity may not list bindings.
    """
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        for binding in kubernetes.items(list_path(kind)):
            if any(matches(s) for s in binding.get("subjects") or ()):
                yield binding | {"kind": kind}


def without_subject(binding: JsonObject, matches: Matches, step: str) -> Change:
    """The change that takes the subjects out, each a field of its own, and leaves the others in their order."""
    subjects = binding.get("subjects") or []
    fields = [subject_field(s) for s in subjects if matches(s)]
    before: dict[str, JsonValue] = {field: subject_value(subjects, field) for field in fields}
    names = listed(sorted({str(s.get("name", "")) for s in subjects if matches(s)}))
    return Change(
        step=step,
        resource=ref_of(binding),
        summary=f"{names} is no longer bound to {role_of(binding)}",
        before=before,
        after=dict.fromkeys(before),
    )


def ref_of(binding: JsonObject) -> ResourceRef:
    """A binding as a resource."""
    metadata = binding["metadata"]
    return ResourceRef(
        kind=binding["kind"], namespace=metadata.get("namespace", ""), name=metadata["name"], uid=metadata["uid"]
    )


def role_of(binding: JsonObject) -> str:
    """`ClusterRole name`, as people write it."""
    role = binding.get("roleRef") or {}
    return f"{role.get('kind', 'Role')} {role.get('name', '')}"


def subject_named(kind: str, name: str, namespace: str = "") -> Matches:
    """The entry for a user, a group, or a service account of a namespace."""

    def matches(subject: JsonObject) -> bool:
        same = subject.get("kind") == kind and subject.get("name") == name
        return same and (kind != "ServiceAccount" or subject.get("namespace", "") == namespace)

    return matches

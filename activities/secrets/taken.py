"""What an identity could read before this incident cut it off: from the record of what was taken from it.

Afterwards the API server says rightly that it can read nothing, and whoever asks only that would rotate nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from pydantic import JsonValue

from activities.doors import Doors
from activities.user import aws_auth, entries
from clients.kubernetes import JsonObject
from clients.paths import object_path
from errors import FirebreakError, Throttled, Unavailable
from plans.model import Change

_BINDINGS: Final = ("ClusterRoleBinding", "RoleBinding")
_WITHOUT_SECRETS: Final = ("AmazonEKSViewPolicy",)
"""https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html: of the policies that people get, all
others let them read Secrets. One that is not known here is taken to let them, too."""


class Identity(NamedTuple):
    """Somebody as the API server knows him."""

    username: str
    groups: tuple[str, ...]


class Lost(NamedTuple):
    """Secrets of a namespace, or of all (""), by name; no names are all of them."""

    namespace: str
    names: tuple[str, ...] = ()


def with_lost_groups(who: Identity, made: Iterable[Change]) -> Identity:
    """The identity with the groups that its access entry or its rows of aws-auth gave it."""
    found = list(who.groups)
    for change in made:
        if change.resource.kind == aws_auth.KIND:
            found += [g for value in change.before.values() for g in _groups_of_rows(value)]
        elif change.resource.kind == entries.KIND:
            found += _strings(change.before.get(entries.GROUPS))
    return who._replace(groups=tuple(dict.fromkeys(found)))


def taken_away(doors: Doors, who: Identity, made: Iterable[Change]) -> Iterator[Lost]:
    """What the identity could read through the access policies and bindings that were taken from it.

    Raises:
        Throttled, Unavailable: The API server does not answer.
    """
    for change in made:
        if change.resource.kind == entries.KIND:
            yield from _of_policies(entries.policies_in(change))
        elif change.resource.kind in _BINDINGS:
            yield from _of_binding(doors, who, change)


def _of_policies(policies: Mapping[str, Any]) -> Iterator[Lost]:
    for arn, scope in policies.items():
        if arn.endswith(_WITHOUT_SECRETS) or not isinstance(scope, dict):
            continue
        if scope.get("type") == "namespace":
            yield from (Lost(namespace) for namespace in _strings(scope.get("namespaces")))
        else:
            yield Lost("")


def _of_binding(doors: Doors, who: Identity, change: Change) -> Iterator[Lost]:
    gone = [s for f, value in change.before.items() if change.after.get(f) is None for s in _entries(value)]
    if not any(_means(s, who) for s in gone):
        return
    ref = change.resource
    for rule in _rules(doors, ref.kind, ref.namespace, ref.name):
        if _reads_secrets(rule):
            yield Lost(ref.namespace, tuple(rule.get("resourceNames") or ()))


def _entries(value: JsonValue) -> list[Mapping[str, object]]:
    """The subjects in a recorded field: one subject's entries (activities.changes.bindings), or a whole binding's."""
    found = (value.get("entries") or value.get("subjects")) if isinstance(value, dict) else None
    return [s for s in found if isinstance(s, dict)] if isinstance(found, list) else []


def _means(subject: Mapping[str, object], who: Identity) -> bool:
    # A path takes out no other users than its own; one of a role has the name of one of its sessions.
    return subject.get("kind") == "User" or (subject.get("kind") == "Group" and subject.get("name") in who.groups)


def _rules(doors: Doors, kind: str, namespace: str, name: str) -> list[JsonObject]:
    try:
        role = doors.bindings.get(object_path(kind, namespace, name)).get("roleRef") or {}
        place = namespace if role.get("kind") == "Role" else ""
        found = doors.kubernetes.get(object_path(str(role.get("kind")), place, str(role.get("name"))))
    except (Throttled, Unavailable):
        raise
    except FirebreakError:
        # The binding or its role is gone, and with it what could be known.
        return []
    return list(found.get("rules") or ())


def _reads_secrets(rule: JsonObject) -> bool:
    groups, resources, verbs = (set(rule.get(k) or ()) for k in ("apiGroups", "resources", "verbs"))
    return bool(groups & {"", "*"} and resources & {"secrets", "*"} and verbs & {"get", "list", "watch", "*"})


def _groups_of_rows(value: JsonValue) -> list[str]:
    rows = value.get("rows") if isinstance(value, dict) else None
    found = [r.get("row") for r in rows if isinstance(r, dict)] if isinstance(rows, list) else []
    return [g for row in found if isinstance(row, dict) for g in _strings(row.get("groups"))]


def _strings(value: JsonValue) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list) else []

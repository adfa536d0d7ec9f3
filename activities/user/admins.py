"""Who administers a cluster, so that the last who does is never cut off (guide U1)."""

from __future__ import annotations

from typing import Final

from activities.user.ways import Cluster, Ways
from clients.kubernetes import JsonObject
from plans.situation import words

_MASTERS: Final = "system:masters"
"""Whoever is in it may do everything, whatever bindings say."""
_ADMIN: Final = "cluster-admin"


def administers(cluster: Cluster, ways: Ways) -> bool:
    """Whether a subject administers the cluster by any of its ways."""
    groups = _admin_groups(cluster) | {_MASTERS}
    held = {g for e in ways.entries for g in e.groups} | {g for r in ways.rows for g in r.groups}
    held |= set(ways.subject.groups)
    if held & groups or any(e.administers for e in ways.entries):
        return True
    return any(ways.is_user(s) for b in _admin_bindings(cluster) for s in b.get("subjects") or ())


def remaining(cluster: Cluster, cut: list[Ways], groups: frozenset[str] = frozenset()) -> list[str]:
    """Who would still administer the cluster without some subjects and groups; the first that is found is enough.

    A group counts where an entry, a row or an identity provider can put somebody into it. Service accounts do not
    count: nobody signs in as one.
    """
    gone = {p for w in cut for p in w.principals}
    admin_groups = _admin_groups(cluster) - groups
    for entry in cluster.entries.administrators():
        if not any(entry.arn == e.arn for w in cut for e in w.entries):
            return [f"the access entry of {words(entry.arn)}"]
    for row in cluster.auth.rows:
        if row.principal not in gone and not row.for_nodes and {_MASTERS, *admin_groups} & set(row.groups):
            return [f"the row of {words(row.arn)} in aws-auth"]
    for binding in _admin_bindings(cluster):
        for subject in binding.get("subjects") or ():
            name = str(subject.get("name", ""))
            if (
                subject.get("kind") == "User"
                and not name.startswith("system:")
                and not any(w.is_user(subject) for w in cut)
            ):
                return [f"the user {words(name)}"]
    if admin_groups:
        for entry in cluster.entries.with_groups():
            if admin_groups & set(entry.groups) and not any(entry.arn == e.arn for w in cut for e in w.entries):
                return [f"the access entry of {words(entry.arn)}"]
        if cluster.providers:
            return [f"the group {words(min(admin_groups))} of the identity provider"]
    return []


def _admin_bindings(cluster: Cluster) -> list[JsonObject]:
    return [
        b
        for b in cluster.bindings
        if b["kind"] == "ClusterRoleBinding" and (b.get("roleRef") or {}).get("name") == _ADMIN
    ]


def _admin_groups(cluster: Cluster) -> frozenset[str]:
    """The groups, other than the cluster's own, that are bound to cluster-admin."""
    names = {
        str(s.get("name", ""))
        for b in _admin_bindings(cluster)
        for s in b.get("subjects") or ()
        if s.get("kind") == "Group"
    }
    return frozenset(n for n in names if not n.startswith("system:"))

"""Whether the cluster is as it was: the objects of a namespace, without what the API server itself counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devstack.kube import KubeApi

_KINDS = {
    "Pod": "/api/v1/namespaces/{}/pods",
    "Service": "/api/v1/namespaces/{}/services",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
}
_COUNTED = ("resourceVersion", "managedFields", "generation", "creationTimestamp")
"""What every write moves, even one that is undone."""

IGNORED = "status, resourceVersion, generation, managedFields and creation times"

Snapshot = dict[str, dict[str, Any]]


def snapshot(admin: KubeApi, namespace: str) -> Snapshot:
    """Every object of the namespace by kind and name, with its uid."""
    found: Snapshot = {}
    for kind, path in _KINDS.items():
        for item in admin.request("GET", path.format(namespace))["items"]:
            metadata = {k: v for k, v in item["metadata"].items() if k not in _COUNTED}
            wanted = {k: v for k, v in item.items() if k != "status"}
            found[f"{kind} {metadata['name']}"] = {**wanted, "metadata": metadata}
    return found


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """What differs, a sentence each; an empty list means that everything is as it was."""
    found = [f"{name} is gone" for name in sorted(before.keys() - after.keys())]
    found += [f"{name} is new" for name in sorted(after.keys() - before.keys())]
    for name in sorted(before.keys() & after.keys()):
        found += [f"{name}: {path} differs" for path in _paths(before[name], after[name], "")]
    return found


def _paths(one: Any, other: Any, path: str) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys())
        return [p for key in keys for p in _paths(one.get(key), other.get(key), f"{path}.{key}" if path else str(key))]
    return [] if one == other else [path]

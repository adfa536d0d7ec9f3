"""Paths of the Kubernetes API, built so that no name from outside can leave its segment.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from errors import InputError


class Resource(NamedTuple):
    """Where the API keeps one kind. `group` is empty for the core group."""

    kind: str
    group: str
    version: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """`v1`, `apps/v1`, …: what an object's `apiVersion` says."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """`/api/v1`, `/apis/apps/v1`, …."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"

_ALL = (
    Resource("Pod", "", "v1", "pods", True),
    Resource("Service", "", "v1", "services", True),
    Resource("ServiceAccount", "", "v1", "serviceaccounts", True),
    Resource("Secret", "", "v1", "secrets", True),
    Resource("ConfigMap", "", "v1", "configmaps", True),
    Resource("Event", "", "v1", "events", True),
    Resource("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims", True),
    Resource("ReplicationController", "", "v1", "replicationcontrollers", True),
    Resource("PersistentVolume", "", "v1", "persistentvolumes", False),
    Resource("Node", "", "v1", "nodes", False),
    Resource("Namespace", "", "v1", "namespaces", False),
    Resource("Deployment", "apps", "v1", "deployments", True),
    Resource("ReplicaSet", "apps", "v1", "replicasets", True),
    Resource("StatefulSet", "apps", "v1", "statefulsets", True),
    Resource("DaemonSet", "apps", "v1", "daemonsets", True),
    Resource("ControllerRevision", "apps", "v1", "controllerrevisions", True),
    Resource("Job", "batch", "v1", "jobs", True),
    Resource("CronJob", "batch", "v1", "cronjobs", True),
    Resource("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies", True),
    Resource("Ingress", "networking.k8s.io", "v1", "ingresses", True),
    Resource("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices", True),
    Resource("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets", True),
    Resource("Lease", "coordination.k8s.io", "v1", "leases", True),
    Resource("Role", _RBAC, "v1", "roles", True),
    Resource("RoleBinding", _RBAC, "v1", "rolebindings", True),
    Resource("ClusterRole", _RBAC, "v1", "clusterroles", False),
    Resource("ClusterRoleBinding", _RBAC, "v1", "clusterrolebindings", False),
    Resource("ValidatingAdmissionPolicy", _ADMISSION, "v1", "validatingadmissionpolicies", False),
    Resource("ValidatingAdmissionPolicyBinding", _ADMISSION, "v1", "validatingadmissionpolicybindings", False),
    Resource("CustomResourceDefinition", "apiextensions.k8s.io", "v1", "customresourcedefinitions", False),
    Resource("SubjectAccessReview", "authorization.k8s.io", "v1", "subjectaccessreviews", False),
    Resource("SelfSubjectAccessReview", "authorization.k8s.io", "v1", "selfsubjectaccessreviews", False),
    Resource("TokenReview", "authentication.k8s.io", "v1", "tokenreviews", False),
)

RESOURCES = {r.kind: r for r in _ALL}
"""Every kind that Firebreak reads or writes."""


def resource(kind: str) -> Resource:
    """Where one kind is kept.

    Raises:
        InputError: Firebreak does not know the kind.
    """
    try:
        return RESOURCES[kind]
    except KeyError:
        raise InputError("kind", f"one of {', '.join(RESOURCES)}", kind) from None


def object_path(kind: str, namespace: str, name: str, subresource: str = "") -> str:
    """The path of one object, or of a subresource of it (`log`, `eviction`, `status`).

    Args:
        kind: As in the object's `kind`.
        namespace: "" for a cluster-wide kind.
        name: The object's name.
        subresource: Optional; one segment.

    Raises:
        InputError: The kind is unknown, a name is missing or cannot be a segment of a path.
    """
    if kind != "Namespace" and resource(kind).namespaced and not namespace:
        raise InputError("namespace", f"the namespace of {kind} {name}")
    tail = f"/{segment(subresource, 'subresource')}" if subresource else ""
    return f"{list_path(kind, namespace)}/{segment(name, 'name')}{tail}"


def list_path(kind: str, namespace: str = "") -> str:
    """The path of a kind's collection: of one namespace, or of all when `namespace` is "".

    Raises:
        InputError: The kind is unknown, or the namespace cannot be a segment of a path.
    """
    where = resource(kind)
    if where.namespaced and namespace:
        return f"{where.root}/namespaces/{segment(namespace, 'namespace')}/{where.plural}"
    return f"{where.root}/{where.plural}"


def group_path(group: str, version: str, plural: str, namespace: str = "", name: str = "") -> str:
    """The path of a collection, or of one object, of a kind that is not in the table (a custom resource).

    Raises:
        InputError: A part cannot be a segment of a path.
    """
    where = ["namespaces", namespace] if namespace else []
    parts = ["apis", group, version, *where, plural, *([name] if name else [])]
    return "".join("/" + segment(p, "path") for p in parts)


def segment(text: str, field: str) -> str:
    """One segment of a path, percent-encoded.

    Encoding alone is not enough: "." and ".." have no encoded form that a proxy keeps apart from a step in the path.

    Raises:
        InputError: The text is empty, longer than any name, or a step in a path.
    """
    if not text or text in (".", "..") or len(text) > 253:
        raise InputError(field, "a name of 1 to 253 characters that is not a step in a path", text[:60] or "nothing")
    return quote(text, safe="", errors="replace")

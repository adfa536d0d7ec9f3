"""Installs the product's own manifests from deploy/ into a cluster, by server-side apply, as its administrator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML

from devstack.kube import KubeApi
from devstack.state import StackError

# The resources behind the kinds that are applied here; a table instead of discovery keeps the start short.
_RESOURCES = {
    ("v1", "Namespace"): "namespaces",
    ("v1", "ServiceAccount"): "serviceaccounts",
    ("v1", "Service"): "services",
    ("v1", "ConfigMap"): "configmaps",
    ("v1", "ResourceQuota"): "resourcequotas",
    ("apps/v1", "Deployment"): "deployments",
    ("apps/v1", "DaemonSet"): "daemonsets",
    ("networking.k8s.io/v1", "NetworkPolicy"): "networkpolicies",
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): "clusterroles",
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): "clusterrolebindings",
    ("rbac.authorization.k8s.io/v1", "Role"): "roles",
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): "rolebindings",
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"): "validatingadmissionpolicies",
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"): "validatingadmissionpolicybindings",
}
_MANIFESTS = ("rbac.yaml", "node-view.yaml", "admission.yaml")


def install_product(api: KubeApi) -> None:
    """Apply deploy/rbac.yaml, deploy/node-view.yaml and deploy/admission.yaml; what is there already is updated.

    Raises:
        KubeError: The API server refused an object.
    """
    for name in _MANIFESTS:
        apply_all(api, load_manifests(name))


def load_manifests(name: str) -> list[dict[str, Any]]:
    """The objects of one file of deploy/."""
    text = files("deploy").joinpath(name).read_text(encoding="utf-8")
    return [document for document in YAML(typ="safe").load_all(text) if document]


def apply_all(api: KubeApi, manifests: Iterable[Mapping[str, Any]]) -> None:
    """Apply objects in the order given."""
    for manifest in manifests:
        api.apply(object_path(manifest), manifest)


def object_path(manifest: Mapping[str, Any]) -> str:
    """The path of an object in the API.

    Raises:
        StackError: Its kind is not in the table above.
    """
    version, kind = manifest["apiVersion"], manifest["kind"]
    resource = _RESOURCES.get((version, kind))
    if resource is None:
        raise StackError(f"{version} {kind}: the installer does not know this kind")
    prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = manifest["metadata"].get("namespace")
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"{prefix}{inside}/{resource}/{manifest['metadata']['name']}"

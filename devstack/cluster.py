"""What the cluster holds beside the product: namespaces, the test's people, kwok's permissions and the fake nodes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

from devstack import identities
from devstack.aws.machines import Instance
from devstack.install import apply_all
from devstack.kube import KubeApi, KubeError
from devstack.pki import KUBELET_CLIENT
from errors import InputError

PRODUCT_NAMESPACE = "firebreak"
DEMO_NAMESPACE = "shop"

_RBAC = "rbac.authorization.k8s.io/v1"
# The range that EKS clusters with custom networking take their pod addresses from (RFC 6598).
_POD_NETWORK = ipaddress.ip_network("100.64.0.0/10")
_TOKEN_SECONDS = 365 * 24 * 3600


def prepare_cluster(api: KubeApi) -> None:
    """Apply the namespaces, kwok's permissions, and ``namespace-admin`` for the demo's namespace."""
    apply_all(api, [_namespace(PRODUCT_NAMESPACE), _namespace(DEMO_NAMESPACE), *_kwok_permissions()])
    grant_namespace_admin(api, DEMO_NAMESPACE)


def grant_namespace_admin(api: KubeApi, namespace: str) -> None:
    """Make the person called ``namespace-admin`` the administrator of a namespace: the ClusterRole ``admin`` and a bit.

    The ClusterRole gives neither ephemeral containers nor changes of a pod's status. Debugging tools often add the
    first, operators the second; with both, a denial in a test is the admission policy's and not RBAC's.
    """
    rules = [
        {
            "apiGroups": [""],
            "resources": ["pods/ephemeralcontainers", "pods/status", "pods/resize"],
            "verbs": ["get", "update", "patch"],
        }
    ]
    role = {
        "apiVersion": _RBAC,
        "kind": "Role",
        "metadata": {"name": "debugger", "namespace": namespace},
        "rules": rules,
    }
    bindings = (
        _binding(namespace, "namespace-admin", "ClusterRole", "admin"),
        _binding(namespace, "namespace-admin-debugger", "Role", "debugger"),
    )
    apply_all(api, [role, *bindings])


def firebreak_token(api: KubeApi, account: str) -> str:
    """A token of one of the product's own service accounts, valid for a year, made by the TokenRequest API."""
    answer = api.request(
        "POST",
        f"/api/v1/namespaces/{PRODUCT_NAMESPACE}/serviceaccounts/{account}/token",
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": _TOKEN_SECONDS},
        },
    )
    return str(answer["status"]["token"])


def create_nodes(api: KubeApi, instances: Sequence[Instance], pods_per_node: int) -> None:
    """Create node-0, node-1, … for kwok to play, one for each instance; those that exist are left alone.

    Raises:
        InputError: The pod network has no room for so many nodes and pods.
    """
    networks = _pod_networks(pods_per_node)
    for index, instance in enumerate(instances):
        network = next(networks, None)
        if network is None:
            raise InputError("nodes", f"at most {index} nodes of {pods_per_node} pods", str(len(instances)))
        try:
            api.request("POST", "/api/v1/nodes", _node(index, instance, network, pods_per_node))
        except KubeError as error:
            if error.status != 409:
                raise


def admit_api_server(api: KubeApi) -> None:
    """Let the API server call real kubelets, which ask it who may do what with them.

    The role that Kubernetes has for this leaves checkpoints out.
    """
    checkpoints = {
        "apiVersion": _RBAC,
        "kind": "ClusterRole",
        "metadata": {"name": "kubelet-checkpoints"},
        "rules": [{"apiGroups": [""], "resources": ["nodes/checkpoint"], "verbs": ["create"]}],
    }
    bindings = [
        {
            "apiVersion": _RBAC,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"{KUBELET_CLIENT}-{number}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [_user(KUBELET_CLIENT)],
        }
        for number, role in enumerate(("system:kubelet-api-admin", "kubelet-checkpoints"))
    ]
    apply_all(api, [checkpoints, *bindings])


def ready_nodes(api: KubeApi) -> list[str]:
    """The names of the nodes that are Ready."""
    return [node["metadata"]["name"] for node in api.request("GET", "/api/v1/nodes")["items"] if _is_ready(node)]


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = {found["type"]: found["status"] for found in node["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"


def _pod_networks(pods_per_node: int) -> Iterator[ipaddress.IPv4Network]:
    # Twice the pods, because a deleted pod's address is not free at once.
    bits = max(8, (2 * pods_per_node).bit_length())
    return _POD_NETWORK.subnets(new_prefix=32 - bits)  # type: ignore[return-value]


def _node(index: int, instance: Instance, network: ipaddress.IPv4Network, pods: int) -> dict[str, Any]:
    name = f"node-{index}"
    # kwok hands addresses out from the one given here upwards; a VPC reserves the first few of each subnet.
    pod_cidr = f"{network[16]}/{network.prefixlen}"
    resources = {"cpu": "1000", "memory": "4Ti", "ephemeral-storage": "4Ti", "pods": str(pods)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node.kubernetes.io/instance-type": "m6i.4xlarge",
                "topology.kubernetes.io/zone": instance.zone,
                "topology.kubernetes.io/region": instance.zone[:-1],
                "eks.amazonaws.com/nodegroup": "demo",
            },
        },
        "spec": {
            "providerID": f"aws:///{instance.zone}/{instance.instance_id}",
            "podCIDR": pod_cidr,
            "podCIDRs": [pod_cidr],
        },
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": instance.private_ip},
                {"type": "InternalDNS", "address": instance.private_dns},
                {"type": "Hostname", "address": name},
                # Where the API server finds kwok when somebody asks for logs; see control_plane.
                {"type": "ExternalDNS", "address": "localhost"},
            ],
            "allocatable": resources,
            "capacity": resources,
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": "",
                "containerRuntimeVersion": "containerd://2.1.5",
                "kernelVersion": "6.12.55-74.119.amzn2023.x86_64",
                "kubeProxyVersion": "",
                "kubeletVersion": "v1.35.0",
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": "Amazon Linux 2023",
                "systemUUID": "",
            },
        },
    }


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _kwok_permissions() -> list[dict[str, Any]]:
    rules = [
        {
            "apiGroups": [""],
            "resources": ["nodes", "pods"],
            "verbs": ["get", "list", "watch", "update", "patch", "delete"],
        },
        {"apiGroups": [""], "resources": ["nodes/status", "pods/status"], "verbs": ["update", "patch"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "verbs": ["create", "get", "list", "watch", "update", "patch", "delete"],
        },
        {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch", "update"]},
    ]
    return [
        {"apiVersion": _RBAC, "kind": "ClusterRole", "metadata": {"name": "kwok"}, "rules": rules},
        {
            "apiVersion": _RBAC,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "kwok"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kwok"},
            "subjects": [_user(identities.KUBELETS)],
        },
    ]


def _binding(namespace: str, name: str, kind: str, role: str) -> dict[str, Any]:
    return {
        "apiVersion": _RBAC,
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [_user(identities.NAMESPACE_ADMIN)],
    }


def _user(name: str) -> dict[str, str]:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}

"""The workload that the demo attacks: a small shop whose checkout a NetworkPolicy opens to the world.

The policy matters. A deny-all policy alone does not isolate ``checkout``, since policies add up: what this one allows
stays allowed until the quarantined pod is taken out of its selector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devstack.cluster import DEMO_NAMESPACE
from devstack.install import apply_all
from devstack.kube import KubeApi
from devstack.processes import poll

NAME = "checkout"
IMAGE = (
    "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop/checkout"
    "@sha256:5d1f0c6a2d3b9e47c8a1f4be0d6c7a93e2b85f1460d79ca3b8e64f02915d7ac8"
)
CLEAN_IMAGE = (
    "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop/checkout"
    "@sha256:b7e04c1d9f2a6835e0d7c49ab1f85d3260ce97ba4f18d65c03e2a97b84f6d10e"
)
_LABELS = {"app": NAME}
_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class DemoPod:
    """One pod of the workload."""

    name: str
    uid: str
    node: str
    ip: str


@dataclass(frozen=True)
class DemoWorkload:
    """What was deployed; ``clean_image`` is the digest that a repaired build would have."""

    namespace: str
    deployment: str
    service_account: str
    image: str
    clean_image: str
    pods: list[DemoPod]


def deploy_demo_workload(
    admin: KubeApi, *, namespace: str = DEMO_NAMESPACE, replicas: int = 3, wait: bool = True
) -> DemoWorkload:
    """Deploy the shop's checkout and wait until its pods are ready; deploying again resets its image.

    Args:
        admin: The API server, as the administrator (``KubeApi.from_kubeconfig(info.kubeconfig_admin)``).
        namespace: Where; it is made if it is missing.
        replicas: The number of pods.
        wait: Whether to wait until all of them are ready; without it ``pods`` holds those that are.

    Raises:
        TimeoutError: The pods are not ready within a minute.
        KubeError: The API server refused an object.
    """
    apply_all(admin, _manifests(namespace, replicas))
    if wait:
        poll(f"{replicas} ready pods of {NAME}", lambda: len(_ready(admin, namespace)) >= replicas, _TIMEOUT_SECONDS)
    return DemoWorkload(namespace, NAME, NAME, IMAGE, CLEAN_IMAGE, _ready(admin, namespace))


def _ready(admin: KubeApi, namespace: str) -> list[DemoPod]:
    items = admin.request("GET", f"/api/v1/namespaces/{namespace}/pods", query={"labelSelector": f"app={NAME}"})[
        "items"
    ]
    pods = [
        DemoPod(pod["metadata"]["name"], pod["metadata"]["uid"], pod["spec"]["nodeName"], pod["status"]["podIP"])
        for pod in items
        if pod["status"].get("podIP") and "deletionTimestamp" not in pod["metadata"]
    ]
    return sorted(pods, key=lambda pod: pod.name)


def _manifests(namespace: str, replicas: int) -> list[dict[str, Any]]:
    metadata = {"name": NAME, "namespace": namespace, "labels": _LABELS}
    anywhere = [{"ipBlock": {"cidr": "0.0.0.0/0"}}]
    role = f"arn:aws:iam::123456789012:role/{namespace}-{NAME}"
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {**metadata, "annotations": {"eks.amazonaws.com/role-arn": role}},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": _LABELS},
                "template": {"metadata": {"labels": _LABELS}, "spec": _pod_spec()},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": _LABELS, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {**metadata, "name": f"allow-{NAME}"},
            "spec": {
                "podSelector": {"matchLabels": _LABELS},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": anywhere, "ports": [{"protocol": "TCP", "port": 8080}]}],
                "egress": [{"to": anywhere}],
            },
        },
    ]


def _pod_spec() -> dict[str, Any]:
    container = {
        "name": NAME,
        "image": IMAGE,
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": "PAYMENTS_URL", "value": "https://payments.example.com"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
    }
    return {"serviceAccountName": NAME, "containers": [container]}

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from contracts.common import PodTarget
from devstack.kube import KubeApi
from plans.model import ResourceRef

LABELS = {"app": "shop"}


@dataclass(frozen=True)
class Worker:
    """Stands where Temporal's client stands."""

    identity: str


def make_workload(admin: KubeApi, namespace: str, replicas: int = 2) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    for path, body in (
        (f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "shop"}}),
        (
            f"{rbac}/namespaces/{namespace}/roles",
            {
                "metadata": {"name": "reader"},
                "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}],
            },
        ),
        (
            f"{rbac}/namespaces/{namespace}/rolebindings",
            {
                "metadata": {"name": "shop-reads"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
                "subjects": [{"kind": "ServiceAccount", "name": "shop", "namespace": namespace}],
            },
        ),
        (
            f"{rbac}/namespaces/{namespace}/rolebindings",
            {
                "metadata": {"name": "dangling"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "nowhere"},
                "subjects": [{"kind": "Group", "name": f"system:serviceaccounts:{namespace}"}],
            },
        ),
        (
            f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
            {"metadata": {"name": "opens"}, "spec": {"podSelector": {"matchLabels": LABELS}, "ingress": [{}]}},
        ),
        (
            f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
            {"metadata": {"name": "others"}, "spec": {"podSelector": {"matchLabels": {"app": "other"}}}},
        ),
        (f"/apis/apps/v1/namespaces/{namespace}/deployments", _deployment(replicas)),
    ):
        admin.request("POST", path, body)


def _deployment(replicas: int) -> dict[str, Any]:
    container = {
        "name": "web",
        "image": "registry.example/shop@sha256:" + "5d" * 32,
        "env": [
            {"name": "PASSWORD", "value": "hunter2"},
            {"name": "EMPTY", "value": ""},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "securityContext": {"privileged": True},
        "volumeMounts": [{"name": "host", "mountPath": "/host"}],
    }
    return {
        "metadata": {"name": "shop", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {
                    "serviceAccountName": "shop",
                    "initContainers": [{"name": "init", "image": "busybox"}],
                    "containers": [container],
                    "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
                },
            },
        },
    }


def targets_of(admin: KubeApi, namespace: str, count: int) -> list[PodTarget]:
    """The running pods of the workload, as a plan names them."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        pods = admin.request("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
        running = [p for p in pods if p["status"].get("phase") == "Running"]
        if len(running) >= count:
            deployment = admin.request("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/shop")
            top = ResourceRef(kind="Deployment", namespace=namespace, name="shop", uid=deployment["metadata"]["uid"])
            return [_target(p, top) for p in sorted(running, key=lambda p: str(p["metadata"]["uid"]))]
        time.sleep(0.1)
    raise TimeoutError(f"{count} running pods in {namespace}")


def _target(pod: dict[str, Any], top: ResourceRef) -> PodTarget:
    meta = pod["metadata"]
    return PodTarget(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        node=pod["spec"]["nodeName"],
        workload=top,
    )

"""What attackers find in a namespace: workloads of every kind, and the NetworkPolicies that open them."""

from __future__ import annotations

from typing import Any

from devstack.demo_workload import CLEAN_IMAGE, IMAGE
from tests.assess.support import pod_spec

Json = dict[str, Any]
ANYWHERE = {"ipBlock": {"cidr": "0.0.0.0/0"}}


def vulnerable_spec(**more: Any) -> Json:
    """A pod's spec with the vulnerable image and a harmless container beside it."""
    containers = [{"name": "checkout", "image": IMAGE}, {"name": "proxy", "image": "registry.example/proxy:1"}]
    return pod_spec(**{"containers": containers, "terminationGracePeriodSeconds": 0, **more})


def workload(kind: str, name: str, *, replicas: int = 2, spec: Json | None = None, pod: Json | None = None) -> Json:
    """A workload of a kind of apps/v1; `spec` adds to its own spec, `pod` to that of its pods."""
    labels = {"app": name}
    body: Json = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": vulnerable_spec(**(pod or {}))},
        **({} if kind == "DaemonSet" else {"replicas": replicas}),
        **({"serviceName": name} if kind == "StatefulSet" else {}),
        **(spec or {}),
    }
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": body}


def bare_pod(name: str, *, annotations: Json | None = None, **spec: Any) -> Json:
    """A pod that nothing owns."""
    metadata = {"name": name, "labels": {"app": name}, "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": vulnerable_spec(**spec)}


def open_policy(name: str, selector: Json | None = None) -> Json:
    """A NetworkPolicy that lets everything in and out; without a selector for every pod of the namespace."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": selector or {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [ANYWHERE]}],
            "egress": [{"to": [ANYWHERE]}],
        },
    }


def images_of(obj: Json) -> dict[str, str]:
    """The images of a pod, or of a workload's template, by container."""
    spec = obj["spec"].get("template", {}).get("spec") or obj["spec"]
    return {c["name"]: c["image"] for c in spec["containers"]}


FIXED = {"checkout": CLEAN_IMAGE, "proxy": "registry.example/proxy:1"}
VULNERABLE = {"checkout": IMAGE, "proxy": "registry.example/proxy:1"}

"""Pods on the real node: what a manifest needs to land and start there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devstack.kube import KubeApi
from devstack.processes import poll
from devstack.real_node.names import DEMO_IMAGE, DEMO_PORT, LABEL, LABEL_VALUE
from devstack.state import StackError

_TIMEOUT_SECONDS = 60.0


def on_real_node(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A pod's spec, or that of a template, that runs on the real node and nowhere else, with an image that is there."""
    taint = {"key": LABEL, "operator": "Equal", "value": LABEL_VALUE, "effect": "NoSchedule"}
    return {
        # The default is to ask the cluster's name server, and there is none.
        "dnsPolicy": "Default",
        **spec,
        "nodeSelector": {**spec.get("nodeSelector", {}), LABEL: LABEL_VALUE},
        "tolerations": [*spec.get("tolerations", []), taint],
        "containers": [{"imagePullPolicy": "Never", **container} for container in spec["containers"]],
    }


def demo_pod(name: str, *, peer: str = "", labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A pod of the demo image: it writes log lines, listens on ``DEMO_PORT``, and holds a connection to ``peer``.

    Args:
        name: Of the pod.
        peer: The address of another such pod; without it no connection is made.
        labels: Of the pod.
    """
    container = {
        "name": "demo",
        "image": DEMO_IMAGE,
        "ports": [{"name": "echo", "containerPort": DEMO_PORT, "protocol": "TCP"}],
        "env": [{"name": "PORT", "value": str(DEMO_PORT)}, {"name": "PEER", "value": peer}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": on_real_node({"containers": [container]}),
    }


def run_pod(api: KubeApi, namespace: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Create a pod and wait until it is ready; returns it as the API server then has it.

    Raises:
        KubeError: The API server refused it.
        StackError: It did not become ready; the message says what the kubelet says about it.
    """
    path = f"/api/v1/namespaces/{namespace}/pods"
    # The controller manager makes it for each namespace; before that no pod can be created.
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    poll("default service account", lambda: api.exists(account), _TIMEOUT_SECONDS)
    api.request("POST", path, manifest)
    return await_pod(api, namespace, manifest["metadata"]["name"])


def await_pod(api: KubeApi, namespace: str, name: str) -> dict[str, Any]:
    """Wait until a pod is ready, and return it.

    Raises:
        StackError: It did not become ready.
    """
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    try:
        poll(f"ready pod {namespace}/{name}", lambda: _is_ready(api.request("GET", path)), _TIMEOUT_SECONDS)
    except TimeoutError as error:
        raise StackError(f"{error}; {_last_words(api, namespace, name)}") from error
    return api.request("GET", path)


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)


def _last_words(api: KubeApi, namespace: str, name: str) -> str:
    query = {"fieldSelector": f"involvedObject.name={name}"}
    events = api.request("GET", f"/api/v1/namespaces/{namespace}/events", query=query)["items"]
    return "; ".join(str(event.get("message", "")) for event in events[-3:]) or "no event says why"

"""The network plugin, played: the DaemonSet that EKS runs, with policies enabled, on nodes that have no network.

Firebreak calls containment verified only where it recognises a plugin that enforces NetworkPolicies. The stack's nodes
run nothing, so nothing enforces here either; what the DaemonSet says is what a cluster of EKS would say.

Source: https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy-configure.html
"""

from __future__ import annotations

from typing import Any

from devstack.install import apply_all
from devstack.kube import KubeApi
from devstack.real_node.names import LABEL

_PATH = "/apis/apps/v1/namespaces/kube-system/daemonsets/aws-node"
_LABELS = {"k8s-app": "aws-node"}
_REGISTRY = "602401143452.dkr.ecr.us-east-1.amazonaws.com"


def install_network_plugin(api: KubeApi) -> None:
    """Apply the DaemonSet; its pods start on each node that kwok plays."""
    apply_all(api, [_daemon_set()])


def ready_plugins(api: KubeApi) -> int:
    """On how many nodes the plugin is ready."""
    return int((api.request("GET", _PATH).get("status") or {}).get("numberReady") or 0)


def _daemon_set() -> dict[str, Any]:
    containers = [
        {"name": "aws-node", "image": f"{_REGISTRY}/amazon-k8s-cni:v1.20.4"},
        {
            "name": "aws-eks-nodeagent",
            "image": f"{_REGISTRY}/amazon/aws-network-policy-agent:v1.2.7",
            "args": ["--enable-ipv6=false", "--enable-network-policy=true"],
        },
    ]
    played = {"nodeSelectorTerms": [{"matchExpressions": [{"key": LABEL, "operator": "DoesNotExist"}]}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "aws-node", "namespace": "kube-system", "labels": _LABELS},
        "spec": {
            "selector": {"matchLabels": _LABELS},
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {
                    "hostNetwork": True,
                    "tolerations": [{"operator": "Exists"}],
                    # Its image exists nowhere, and a real kubelet would try to start it for ever.
                    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": played}},
                    "containers": containers,
                },
            },
        },
    }

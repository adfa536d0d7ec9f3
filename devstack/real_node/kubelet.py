"""The kubelet in the node: its settings and its command line.

It answers only whom it knows: the API server by its certificate, others by a token that the API server confirms; and
what they may do, it asks the API server. Nobody is anonymous.
"""

from __future__ import annotations

import json

from devstack.real_node.names import LABEL, LABEL_VALUE, NODE_NAME
from devstack.real_node.plan import CONTAINERD_SOCKET, KUBELET_PROGRAM

FOLDER = "lib/kubelet"
"""Below the node's /var: where its settings, kubeconfig and keys lie, and what it keeps itself."""
_INSIDE = f"/var/{FOLDER}"


def settings(address: str, cgroup: str) -> str:
    """The KubeletConfiguration.

    Source: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
    """
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": address,
            "healthzPort": 0,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{_INSIDE}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{_INSIDE}/node.crt",
            "tlsPrivateKeyFile": f"{_INSIDE}/node.key",
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "registerWithTaints": [{"key": LABEL, "value": LABEL_VALUE, "effect": "NoSchedule"}],
            # There is no name server and nothing outside to ask for.
            "resolvConf": "",
            # The host decides who is killed when memory runs out; its own programs come first.
            "oomScoreAdj": 0,
            # Whether systemd or something else rules the host's cgroups, it is asked for nothing.
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup}",
            "failCgroupV1": False,
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            # The machine's disk is the host's: a full one is no reason to delete images that come from no registry.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": dict.fromkeys(("nodefs.available", "nodefs.inodesFree", "imagefs.available"), "0%"),
            "localStorageCapacityIsolation": False,
            # Both keep it from the host: no firewall rules of its own, no folder in /usr, and parameters of the kernel
            # that it cannot set are no error.
            "makeIPTablesUtilChains": False,
            "volumePluginDir": f"{_INSIDE}/volume-plugins",
            "featureGates": {"KubeletInUserNamespace": True},
        },
        indent=2,
    )


def command(address: str) -> list[str]:
    """How it is started inside of the node."""
    return [
        KUBELET_PROGRAM,
        f"--config={_INSIDE}/config.json",
        f"--kubeconfig={_INSIDE}/kubeconfig",
        f"--cert-dir={_INSIDE}/pki",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={address}",
        f"--node-labels={LABEL}={LABEL_VALUE}",
    ]

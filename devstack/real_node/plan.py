"""What the node's machine is told: one JSON file, read on the host and again by the first process in the machine.

Only the standard library here and in what the machine runs, because both processes stay for as long as the node does.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
"""Inside of the node; its own /run keeps the paths of sockets short, wherever the stack's state lies."""
KUBELET_PROGRAM = "/run/kubelet"
NAMESPACES = ("--mount", "--pid", "--net", "--uts", "--ipc")
"""What the node has of its own, as unshare and nsenter call it."""


@dataclass(frozen=True)
class Plan:
    """How to make one node's machine.

    Attributes:
        hostname: Of the machine.
        folder: On the host: ``var`` becomes the machine's /var, ``run`` its /run.
        logs: On the host, for the logs of containerd and kubelet.
        cgroup: The name of the node's cgroup below the root.
        link: The host's end of the link.
        host: The host's address on the link.
        node: The node's.
        link_length: The prefix length of both.
        pods: The network of the pods.
        apiserver: The port of the API server, on 127.0.0.1 of the host and, through the gateway, of the node.
        kubelet: The kubelet's program on the host.
        commands: The command lines of containerd and kubelet inside of the machine, in the order of their start.
        path: Where programs are looked for.
    """

    hostname: str
    folder: str
    logs: str
    cgroup: str
    link: str
    host: str
    node: str
    link_length: int
    pods: str
    apiserver: int
    kubelet: str
    commands: dict[str, list[str]]
    path: str

    @classmethod
    def read(cls, file: str) -> Plan:
        """The plan in a file that ``write`` wrote."""
        return cls(**json.loads(Path(file).read_text()))

    def text(self) -> str:
        """As the file holds it."""
        return json.dumps(dataclasses.asdict(self), indent=2)

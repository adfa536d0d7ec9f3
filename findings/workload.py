"""The Kubernetes workload of a finding: what was started, and how far it reaches into its node.

Source: ``KubernetesWorkloadDetails`` and ``Container`` of the GuardDuty API reference,
https://docs.aws.amazon.com/guardduty/latest/APIReference/API_KubernetesWorkloadDetails.html
"""

from __future__ import annotations

import posixpath
from enum import StrEnum
from typing import Final

from findings.base import Frozen

SENSITIVE_HOST_PATHS: Final = (
    "/boot",
    "/dev",
    "/etc",
    "/home/admin",
    "/home/kubernetes/containerized_mounter",
    "/proc",
    "/root",
    "/run/containerd",
    "/run/crio",
    "/run/docker.sock",
    "/run/dockershim.sock",
    "/sys",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/log",
    "/var/run/containerd",
    "/var/run/crio",
    "/var/run/docker.sock",
    "/var/run/dockershim.sock",
)
"""Host paths that give a container power over its node.

The base is the macro ``sensitive_mount`` of Falco (falcosecurity/rules, ``falco-sandbox_rules.yaml``). Added are the
runtimes' state folders, kernel interfaces (``/sys``, ``/dev``, ``/boot``) and ``/var/log``, through which the kubelet
follows a symbolic link to any file of the node. ``/var/run`` is ``/run`` on every EKS image, so both spellings stand.
"""


class WorkloadKind(StrEnum):
    """The kind of a Kubernetes workload, singular and in lower case."""

    POD = "pod"
    DEPLOYMENT = "deployment"
    REPLICASET = "replicaset"
    STATEFULSET = "statefulset"
    DAEMONSET = "daemonset"
    JOB = "job"
    CRONJOB = "cronjob"
    REPLICATIONCONTROLLER = "replicationcontroller"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, written: str) -> WorkloadKind:
        """Read a kind as GuardDuty writes it: ``pods``, ``Deployment``, ``STATEFULSETS``; else ``unknown``."""
        word = written.strip().lower()
        for kind in cls:
            if kind is not cls.UNKNOWN and word in (kind.value, f"{kind.value}s"):
                return kind
        return cls.UNKNOWN


class VolumeMount(Frozen):
    """Where a container mounts a volume. ``name`` is the volume's name."""

    name: str = ""
    mount_path: str = ""


class Volume(Frozen):
    """A volume of the workload. ``host_path`` is empty unless the volume is a path of the node."""

    name: str = ""
    host_path: str = ""


class Container(Frozen):
    """A container: of the workload's template, or the one that a runtime finding saw.

    Attributes:
        image: The image as the finding names it; a tag more often than a digest, so no proof of what ran.
        id: The runtime's id; only runtime and malware findings carry it.
        privileged: True, false, or None where the finding does not say.
    """

    name: str = ""
    image: str = ""
    image_prefix: str = ""
    id: str = ""
    runtime: str = ""
    privileged: bool | None = None
    allow_privilege_escalation: bool | None = None
    volume_mounts: tuple[VolumeMount, ...] = ()


class SensitiveMount(Frozen):
    """A sensitive path of the node that a container mounts."""

    container: str
    volume: str
    host_path: str
    mount_path: str


class Workload(Frozen):
    """The workload of a finding.

    Attributes:
        kind: The kind, read from ``type``.
        type: The kind exactly as the finding writes it.
        uid: The uid of the object; empty where the finding does not say, and then no name proves identity.
        service_account: The name alone, in the workload's namespace.
    """

    name: str = ""
    kind: WorkloadKind = WorkloadKind.UNKNOWN
    type: str = ""
    uid: str = ""
    namespace: str = ""
    service_account: str = ""
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()

    @property
    def privileged_containers(self) -> tuple[Container, ...]:
        """The containers whose security context is privileged (guide N1)."""
        return tuple(c for c in self.containers if c.privileged)

    @property
    def shares_host(self) -> bool:
        """Whether the workload lives in the node's network, process or IPC namespace (guide N1)."""
        return self.host_network or self.host_pid or self.host_ipc

    @property
    def images(self) -> tuple[str, ...]:
        """The images of all containers, each once, in order."""
        return tuple(dict.fromkeys(c.image for c in self.containers if c.image))

    def sensitive_mounts(self) -> tuple[SensitiveMount, ...]:
        """The sensitive host paths that some container really mounts, joined by the volume's name (guide N1).

        A finding does not say whether a mount is read-only, so every one counts. A volume that no container mounts
        reaches nothing and does not count.
        """
        paths = {v.name: v.host_path for v in self.volumes if is_sensitive_host_path(v.host_path)}
        return tuple(
            SensitiveMount(container=c.name, volume=m.name, host_path=paths[m.name], mount_path=m.mount_path)
            for c in self.containers
            for m in c.volume_mounts
            if m.name in paths
        )


def is_sensitive_host_path(path: str) -> bool:
    """Whether a path of the node is sensitive, lies under a sensitive one, or contains one.

    ``/var`` contains ``/var/lib/kubelet`` and ``/`` contains everything, so both are sensitive. ``/etcetera`` is not.
    """
    if not path.startswith("/"):
        return False
    # POSIX keeps a leading double slash, and ".." would hide the true place.
    mounted = "/" + posixpath.normpath(path).strip("/")
    if mounted == "/":
        return True
    return any(
        mounted == known or mounted.startswith(known + "/") or known.startswith(mounted + "/")
        for known in SENSITIVE_HOST_PATHS
    )

"""The view pod: Firebreak's own, in a namespace of its own, on one node, for at most a minute and a half.

It is no privileged container: of all capabilities it has the two that read other processes, and the node's files are
mounted read-only. It has no identity in the cluster, and nothing that comes from the incident but ids of containers
enters its manifest.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from activities.collect.model import Deadline
from activities.collect.node_view.lines import View, read_view
from activities.collect.node_view.script import HOST, SCRIPT
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path, object_path
from contracts.names import VIEW_NAMESPACE
from errors import Conflict, TargetGone, Unavailable

SECONDS: Final = 90
_LOOK: Final = 0.25
_HOPELESS: Final = ("ErrImageNeverPull", "InvalidImageName", "ImagePullBackOff", "CreateContainerError")
_ID: Final = re.compile(r"[a-z-]+://([0-9a-f]{64})")


class Instrument:
    """Looks at containers from their nodes.

    Args:
        kubernetes: The cluster.
        image: With a shell and busybox's tools in it, as policy names it.
        incident: Whose view it is; the pods are named and labelled by it.
    """

    def __init__(self, kubernetes: Kubernetes, image: str, incident: str) -> None:
        self._kubernetes = kubernetes
        self.image = image
        self._incident = incident

    def look(self, node: str, containers: Sequence[str], deadline: Deadline) -> View:
        """One look at some containers of a node.

        Args:
            node: Where they run.
            containers: Their ids, 64 hexadecimal digits each.
            deadline: Checked while the view pod starts and works.

        Raises:
            Conflict: The cluster does not admit the view pod.
            TargetGone: The namespace of the view pods is missing: deploy/node-view.yaml is not installed.
            Unavailable: It did not come to its end in time.
        """
        body = view_pod(self.name(node), node, self.image, containers)
        path = object_path("Pod", VIEW_NAMESPACE, body["metadata"]["name"])
        self._sweep(path)
        made = self._kubernetes.create(list_path("Pod", VIEW_NAMESPACE), body)
        try:
            self._until_over(path, deadline)
            return read_view(deadline.watch(self._output(path)), containers)
        finally:
            with suppress(TargetGone, Conflict):
                self._kubernetes.delete(path, uid=made["metadata"]["uid"], grace_seconds=0)

    def name(self, node: str) -> str:
        """Of the view pod on a node: the same for every attempt, so that none is left behind."""
        digest = hashlib.sha256(f"{self._incident}\n{node}".encode("utf-8", "backslashreplace")).hexdigest()
        return f"view-{digest[:32]}"

    def _sweep(self, path: str) -> None:
        """One that an attempt before this one left."""
        with suppress(TargetGone):
            left = self._kubernetes.get(path)
            self._kubernetes.delete(path, uid=left["metadata"]["uid"], grace_seconds=0)

    def _until_over(self, path: str, deadline: Deadline) -> None:
        while True:
            deadline.check()
            pod = self._kubernetes.get(path)
            status = pod.get("status") or {}
            if status.get("phase") in ("Succeeded", "Failed"):
                return
            if reason := _cannot_start(status):
                raise Unavailable(f"the view pod does not start: {reason}")
            time.sleep(_LOOK)

    def _output(self, path: str) -> Iterator[bytes]:
        return self._kubernetes.stream(f"{path}/log", container="view")


def container_ids(pod: JsonObject) -> dict[str, str]:
    """The ids of a pod's containers by their names, as the runtime of its node knows them."""
    status = pod.get("status") or {}
    rows = [r for k in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
            for r in status.get(k) or ()]  # fmt: skip
    found = {str(r.get("name")): _ID.fullmatch(str(r.get("containerID") or "")) for r in rows}
    return {name: match[1] for name, match in found.items() if match is not None}


def environment(containers: Sequence[str]) -> dict[str, str]:
    """What the script is told."""
    return {"CONTAINERS": " ".join(containers), "PROC": "/proc", "HOST": HOST}


def view_pod(name: str, node: str, image: str, containers: Sequence[str]) -> JsonObject:
    """The manifest of a view pod. It is put on its node past the scheduler, which a cordon would keep from it."""
    security = {
        "runAsUser": 0,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE", "DAC_READ_SEARCH"]},
    }
    view = {
        "name": "view",
        "image": image,
        "command": ["sh", "-c", SCRIPT],
        "env": [{"name": n, "value": v} for n, v in environment(containers).items()],
        "securityContext": security,
        "volumeMounts": [{"name": "node", "mountPath": HOST, "readOnly": True}],
        "resources": {"limits": {"memory": "128Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": VIEW_NAMESPACE, "labels": {"app.kubernetes.io/name": "firebreak-view"}},
        "spec": {
            "nodeName": node,
            "hostPID": True,
            "restartPolicy": "Never",
            # It looks up no name.
            "dnsPolicy": "Default",
            "activeDeadlineSeconds": SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "tolerations": [{"operator": "Exists"}],
            "containers": [view],
            "volumes": [{"name": "node", "hostPath": {"path": "/"}}],
        },
    }


def _cannot_start(status: JsonObject) -> str:
    """Why the kubelet will not get any further, or empty."""
    for row in status.get("containerStatuses") or ():
        waiting = (row.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _HOPELESS:
            return f"{waiting['reason']}: {str(waiting.get('message', ''))[:200]}"
    return ""

"""What the containers of a pod are: image and digest, privileges, mounts. Pure, from the pod's manifest alone."""

from __future__ import annotations

from typing import Any

from clients.kubernetes import JsonObject

KINDS = (
    ("initContainers", "initContainerStatuses", "init"),
    ("containers", "containerStatuses", "container"),
    ("ephemeralContainers", "ephemeralContainerStatuses", "ephemeral"),
)
"""Fields of spec and status, and what such a container is called."""


def describe_containers(pod: JsonObject) -> JsonObject:
    """Every container with what runs in it and what it can reach on its node."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    volumes = {v.get("name"): v for v in spec.get("volumes") or ()}
    found = []
    for field, statuses, kind in KINDS:
        running = {s.get("name"): s for s in status.get(statuses) or ()}
        found += [_container(c, kind, running.get(c.get("name")) or {}, volumes) for c in spec.get(field) or ()]
    return {
        "containers": found,
        "pod": {
            **{k: bool(spec.get(k)) for k in ("hostNetwork", "hostPID", "hostIPC")},
            "securityContext": spec.get("securityContext") or {},
            "serviceAccountName": spec.get("serviceAccountName", ""),
            "automountServiceAccountToken": spec.get("automountServiceAccountToken"),
            "runtimeClassName": spec.get("runtimeClassName", ""),
            "nodeName": spec.get("nodeName", ""),
        },
    }


def _container(container: JsonObject, kind: str, status: JsonObject, volumes: dict[Any, JsonObject]) -> JsonObject:
    return {
        "name": container.get("name", ""),
        "kind": kind,
        "image": container.get("image", ""),
        "imageID": status.get("imageID", ""),
        "containerID": status.get("containerID", ""),
        "restartCount": status.get("restartCount", 0),
        "state": status.get("state") or {},
        "lastState": status.get("lastState") or {},
        "command": container.get("command") or [],
        "args": container.get("args") or [],
        "securityContext": container.get("securityContext") or {},
        "ports": container.get("ports") or [],
        "mounts": [_mount(m, volumes) for m in container.get("volumeMounts") or ()],
    }


def _mount(mount: JsonObject, volumes: dict[Any, JsonObject]) -> JsonObject:
    volume = volumes.get(mount.get("name")) or {}
    source = {k: v for k, v in volume.items() if k != "name"}
    return {
        "mountPath": mount.get("mountPath", ""),
        "readOnly": bool(mount.get("readOnly")),
        "volume": mount.get("name", ""),
        "source": source,
    }

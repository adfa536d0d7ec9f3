"""Where each kind of workload keeps its pod template, and what keeps a template from being rolled out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from activities.isolation.fields import field_value
from clients.kubernetes import JsonObject

_TEMPLATE = "/spec/template"

TEMPLATES = {
    "Deployment": _TEMPLATE,
    "StatefulSet": _TEMPLATE,
    "DaemonSet": _TEMPLATE,
    "ReplicaSet": _TEMPLATE,
    "ReplicationController": _TEMPLATE,
    "CronJob": "/spec/jobTemplate/spec/template",
}
"""JSON pointers to the pod templates of the kinds that can be given another image."""


class Container(NamedTuple):
    """One container of a pod template. `pointer` leads to it in the workload."""

    pointer: str
    name: str
    image: str


def containers(kind: str, workload: JsonObject) -> Iterator[Container]:
    """The containers of a workload's template, init containers included."""
    for group in ("initContainers", "containers"):
        where = f"{TEMPLATES[kind]}/spec/{group}"
        for index, container in enumerate(field_value(workload, where) or ()):
            yield Container(f"{where}/{index}", container["name"], container.get("image") or "")


def obstacle(kind: str, workload: JsonObject) -> str:
    """Why a new template would not reach the workload's pods, in a clause, or ""."""
    spec, metadata = workload.get("spec") or {}, workload["metadata"]
    if metadata.get("deletionTimestamp"):
        return "it is being deleted"
    if kind == "Deployment" and spec.get("paused"):
        return "its rollout is paused; resume it first"
    partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition") or 0
    if kind == "StatefulSet" and partition:
        return f"its partition of {partition} keeps pods below that number at the old template; set it to 0 first"
    if kind == "ReplicaSet" and any(o.get("controller") for o in metadata.get("ownerReferences") or ()):
        return "its owner would put the template back; the owner must be changed"
    return ""

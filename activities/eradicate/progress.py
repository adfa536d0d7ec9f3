"""How far a workload's rollout has come: pure, by kind, from the live object.

Source: `kubectl rollout status`, https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from activities.eradicate.workloads import TEMPLATES, containers, obstacle
from activities.isolation.fields import field_value
from clients.kubernetes import JsonObject


class Stage(StrEnum):
    """Where a rollout stands."""

    WAITING = "waiting"
    COMPLETE = "complete"
    FAILED = "failed"


class RolloutState(NamedTuple):
    """Where one workload's rollout stands, with a clause for people."""

    stage: Stage
    detail: str = ""


def rollout_state(kind: str, live: JsonObject) -> RolloutState:
    """Judge a workload by what its controller reports."""
    if kind not in TEMPLATES:
        return RolloutState(Stage.FAILED, f"the rollout of a {kind} cannot be watched")
    hindered = obstacle(kind, live)
    if hindered:
        return RolloutState(Stage.FAILED, hindered)
    status = live.get("status") or {}
    if kind == "CronJob":
        return RolloutState(Stage.COMPLETE, _old_jobs(status))
    if (status.get("observedGeneration") or 0) < live["metadata"].get("generation", 0):
        return RolloutState(Stage.WAITING, "its controller has not seen the new template yet")
    if kind in ("ReplicaSet", "ReplicationController"):
        return RolloutState(Stage.COMPLETE, "its pods take the new template as they are deleted")
    if ((live["spec"].get("updateStrategy") or {}).get("type")) == "OnDelete":
        return RolloutState(Stage.COMPLETE, "its pods take the new template as they are deleted (OnDelete)")
    return {"Deployment": _deployment, "StatefulSet": _stateful_set, "DaemonSet": _daemon_set}[kind](live, status)


def is_new(kind: str, workload: JsonObject, pod: JsonObject) -> bool:
    """Whether a pod was made from the workload's template as it is now: every container has its image."""
    images = {c.name: c.image for c in containers(kind, workload)}
    spec = pod["spec"]
    found = {c["name"]: c.get("image") for group in ("initContainers", "containers") for c in spec.get(group) or ()}
    return all(found.get(name) == image for name, image in images.items())


def trouble(pod: JsonObject) -> str:
    """What keeps a new pod's containers from running for good, or "": the image, its configuration, or a crash loop."""
    status = pod.get("status") or {}
    for container in _statuses(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = str(waiting.get("reason") or "")
        if reason in _HOPELESS:
            return f"container {container['name']}: {reason}: {str(waiting.get('message') or 'no message')[:200]}"
    return ""


def is_ready(pod: JsonObject) -> bool:
    """Whether a pod reports that it is ready."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def pod_selector(kind: str, workload: JsonObject) -> str:
    """The workload's selector as the API's `labelSelector`; only equalities, which narrow the list enough."""
    selector = field_value(workload, "/spec/selector") or {}
    labels = selector if kind == "ReplicationController" else selector.get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in labels.items())


_HOPELESS = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "CrashLoopBackOff",
    }
)


def _deployment(live: JsonObject, status: JsonObject) -> RolloutState:
    for condition in status.get("conditions") or ():
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return RolloutState(Stage.FAILED, f"no progress within its deadline: {condition.get('message', '')}"[:300])
    wanted, updated = _replicas(live), status.get("updatedReplicas") or 0
    old = (status.get("replicas") or 0) - updated
    if not wanted:
        return RolloutState(Stage.COMPLETE, "it is scaled to zero")
    return _counted(wanted, updated, status.get("availableReplicas") or 0, max(0, old))


def _stateful_set(live: JsonObject, status: JsonObject) -> RolloutState:
    wanted = _replicas(live)
    if not wanted:
        return RolloutState(Stage.COMPLETE, "it is scaled to zero")
    updated = status.get("updatedReplicas") or 0
    if status.get("updateRevision") and status.get("currentRevision") == status["updateRevision"]:
        updated = status.get("replicas") or 0
    return _counted(wanted, updated, status.get("availableReplicas") or 0, 0)


def _daemon_set(live: JsonObject, status: JsonObject) -> RolloutState:
    wanted = status.get("desiredNumberScheduled") or 0
    return _counted(wanted, status.get("updatedNumberScheduled") or 0, status.get("numberAvailable") or 0, 0)


def _counted(wanted: int, updated: int, available: int, old: int) -> RolloutState:
    detail = f"{updated} of {wanted} pods updated, {available} available" + (f", {old} old ones left" if old else "")
    complete = updated >= wanted and available >= wanted and not old
    return RolloutState(Stage.COMPLETE if complete else Stage.WAITING, detail)


def _replicas(live: JsonObject) -> int:
    replicas = live["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _old_jobs(status: JsonObject) -> str:
    active = [str(job.get("name")) for job in status.get("active") or ()]
    if not active:
        return "its next run takes the new template"
    return f"its next run takes the new template; these runs still have the old one: {', '.join(active[:5])}"


def _statuses(status: JsonObject) -> Iterable[JsonObject]:
    for group in ("initContainerStatuses", "containerStatuses"):
        yield from status.get(group) or ()

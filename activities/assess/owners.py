"""Who controls the pods: ownership followed to its top by uid, and what the plan must know of each workload."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from activities.assess.reading import Reader, controller_of
from clients.kubernetes import JsonObject
from plans.model import ResourceRef
from plans.observed import PodFacts, WorkloadFacts

MOST_WORKLOADS = 200
"""So many workloads have facts of their own; an incident of more is stopped by its budget anyway."""
_DEPTH = 5
"""Kubernetes' own chains are three long (CronJob, Job, Pod); custom controllers may add to them, or go in circles."""


class Owners(NamedTuple):
    """The owners of pods.

    Attributes:
        tops: The controller at the top of the chain, by the uid of the direct controller.
        objects: Every live owner that was read, by uid.
    """

    tops: dict[str, ResourceRef]
    objects: dict[str, JsonObject]

    def workloads(self, named: Iterable[JsonObject]) -> tuple[WorkloadFacts, ...]:
        """The facts of every top workload, and of those that the finding names, whether they have pods or not."""
        found = {obj["metadata"]["uid"]: obj for obj in named}
        found |= {ref.uid: self.objects[ref.uid] for ref in self.tops.values() if ref.uid in self.objects}
        facts = sorted((workload_facts(o) for o in found.values()), key=lambda w: (w.ref.namespace, w.ref.name))
        return tuple(facts[:MOST_WORKLOADS])


def follow_owners(reader: Reader, pods: Iterable[PodFacts], known: Iterable[JsonObject]) -> Owners:
    """Follow ownership upwards, a level at a time.

    Args:
        reader: Of the cluster.
        pods: The pods.
        known: Owners that were read already.

    Raises:
        Throttled, Unavailable: The API server does not answer.
    """
    objects = {obj["metadata"]["uid"]: obj for obj in known}
    direct = {p.owner.uid: p.owner for p in pods if p.owner is not None}
    level = dict(direct)
    for _ in range(_DEPTH):
        unread = [ref for uid, ref in level.items() if uid not in objects and ref.kind != "Node"]
        objects |= reader.objects(unread) if unread else {}
        above = [controller_of(objects[uid]) for uid in level if uid in objects]
        level = {ref.uid: ref for ref in above if ref is not None}
        if not level:
            break
    return Owners({uid: _top(ref, objects) for uid, ref in direct.items()}, objects)


def _top(ref: ResourceRef, objects: Mapping[str, JsonObject]) -> ResourceRef:
    for _ in range(_DEPTH):
        owner = controller_of(objects[ref.uid]) if ref.uid in objects else None
        if owner is None:
            break
        ref = owner
    return ref


def workload_facts(obj: JsonObject) -> WorkloadFacts:
    """What the plan must know of one workload of a kind of Kubernetes' own."""
    metadata, kind = obj["metadata"], obj["kind"]
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    replicas, ready = _COUNTS[kind](spec, status) if kind in _COUNTS else (0, 0)
    template = spec.get("template") or (spec.get("jobTemplate") or {}).get("spec", {}).get("template") or {}
    pod_spec = template.get("spec") or {}
    containers = [*(pod_spec.get("initContainers") or ()), *(pod_spec.get("containers") or ())]
    strategy = spec.get("strategy") or spec.get("updateStrategy") or {}
    return WorkloadFacts(
        ref=ResourceRef(kind=kind, namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"]),
        replicas=replicas,
        ready=ready,
        strategy=strategy.get("type") or "",
        images={c["name"]: c.get("image") or "" for c in containers},
        paused=bool(spec.get("paused") or spec.get("suspend")),
    )


def _replicated(spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[int, int]:
    wanted = spec.get("replicas")
    return (1 if wanted is None else int(wanted)), int(status.get("readyReplicas") or 0)


_COUNTS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[int, int]]] = {
    "Deployment": _replicated,
    "ReplicaSet": _replicated,
    "StatefulSet": _replicated,
    "ReplicationController": _replicated,
    "DaemonSet": lambda spec, status: (
        int(status.get("desiredNumberScheduled") or 0),
        int(status.get("numberReady") or 0),
    ),
    "Job": lambda spec, status: (int(spec.get("parallelism") or 0), int(status.get("ready") or 0)),
}
"""Wanted and ready pods, by kind; a CronJob has none of its own."""

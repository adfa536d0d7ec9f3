"""Reads the live pods of a list of targets: one by one when they are few, by pages of their namespaces when many.

Only what the callers use is kept of each pod, so that 5,000 of them cost megabytes and not gigabytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path, object_path
from contracts.changes import pointer
from contracts.common import PodTarget
from contracts.names import INCIDENTS_ANNOTATION, LABEL_ON, QUARANTINED_LABEL
from errors import TargetGone

HOLD_LIFTED_ANNOTATION = "firebreak.dev/hold-lifted"
"""On a pod whose hold was lifted on approval: the incident that did it. A hold that is missing without it is broken."""
HOLD_LIFTED_FIELD = pointer("metadata", "annotations", HOLD_LIFTED_ANNOTATION)

FEW = 8
_SINGLE_READS = 100
_KEPT_ANNOTATIONS = (INCIDENTS_ANNOTATION, HOLD_LIFTED_ANNOTATION)
_KEPT_SPEC = ("hostNetwork", "nodeName", "os", "nodeSelector", "schedulerName")

Beat = Callable[[], None]
"""Heartbeats, with the cursor that a retry shall find."""


def reduce_pod(pod: JsonObject) -> JsonObject:
    """A pod without what nobody here asks for; patches of our fields can still be built from it."""
    metadata = pod["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace", "uid", "labels", "ownerReferences") if key in metadata}
    if metadata.get("annotations"):
        # An empty map differs from none: it says that the parent of our annotation is there.
        kept["annotations"] = {k: v for k, v in metadata["annotations"].items() if k in _KEPT_ANNOTATIONS}
    spec = pod.get("spec") or {}
    return {"metadata": kept, "spec": {key: spec[key] for key in _KEPT_SPEC if key in spec}}


def listed_targets(
    kubernetes: Kubernetes, pods: Sequence[PodTarget], beat: Beat, *, above: int, selector: str = ""
) -> dict[str, JsonObject]:
    """The live pods of those namespaces that have more than `above` targets, by uid, read in pages.

    Args:
        kubernetes: The door.
        pods: The targets.
        beat: Called once a page.
        above: In other namespaces a list would read more pods than it saves calls.
        selector: A label selector, when only some of the targets are asked for.
    """
    found: dict[str, JsonObject] = {}
    for namespace, targets in _by_namespace(pods).items():
        if len(targets) <= above:
            continue
        wanted = {t.uid for t in targets}
        for page in kubernetes.pages(list_path("Pod", namespace), labelSelector=selector):
            found.update((p["metadata"]["uid"], reduce_pod(p)) for p in page if p["metadata"]["uid"] in wanted)
            beat()
    return found


def live_targets(kubernetes: Kubernetes, pods: Sequence[PodTarget], beat: Beat) -> dict[str, JsonObject]:
    """The live pods among quarantined targets, by uid. What is missing is gone, or another stands under its name.

    Listing by the label is the shortest way to pods that nearly all carry it; the others are then asked for one by one,
    so that a pod that lost its label is not taken for one that is gone.
    """
    found = listed_targets(kubernetes, pods, beat, above=FEW, selector=f"{QUARANTINED_LABEL}={LABEL_ON}")
    missing = [pod for pod in pods if pod.uid not in found]
    found |= listed_targets(kubernetes, missing, beat, above=_SINGLE_READS)
    unlisted = {n for n, targets in _by_namespace(missing).items() if len(targets) <= _SINGLE_READS}
    for target in missing:
        if target.namespace in unlisted:
            pod = _read(kubernetes, target)
            beat()
            if pod is not None:
                found[target.uid] = pod
    return found


def _by_namespace(pods: Sequence[PodTarget]) -> dict[str, list[PodTarget]]:
    grouped: dict[str, list[PodTarget]] = defaultdict(list)
    for pod in pods:
        grouped[pod.namespace].append(pod)
    return dict(sorted(grouped.items()))


def _read(kubernetes: Kubernetes, target: PodTarget) -> JsonObject | None:
    try:
        pod = kubernetes.get(object_path("Pod", target.namespace, target.name))
    except TargetGone:
        return None
    return reduce_pod(pod) if pod["metadata"]["uid"] == target.uid else None

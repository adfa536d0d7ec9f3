"""Pods as the API server tells of them, reduced to what planning and containment need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from activities.assess.reading import controller_of
from activities.isolation.holders import holders_of
from clients.kubernetes import JsonObject
from contracts.common import PodTarget
from plans.model import ResourceRef
from plans.observed import ContainerFacts, PodFacts

_MIRROR = "kubernetes.io/config.mirror"
_FARGATE = "eks.amazonaws.com/fargate-profile"
_AWS_AUDIENCES = ("sts.amazonaws.com", "pods.eks.amazonaws.com")
"""Of the tokens that EKS's webhook mounts into pods whose account has a role. In China the first has another ending.
https://docs.aws.amazon.com/eks/latest/userguide/pod-configuration.html"""
_LISTS = (("container", "containers"), ("init", "initContainers"), ("ephemeral", "ephemeralContainers"))


def pod_facts(pod: JsonObject) -> PodFacts:
    """One pod; an item of a list does as well."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    return PodFacts(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        node=spec.get("nodeName") or "",
        phase=status.get("phase") or "",
        service_account=spec.get("serviceAccountName") or "default",
        labels=labels,
        owner=controller_of(pod),
        containers=tuple(_containers(spec, status)),
        host_network=bool(spec.get("hostNetwork")),
        static=_MIRROR in annotations,
        fargate=_FARGATE in labels or spec.get("schedulerName") == "fargate-scheduler",
        windows=_is_windows(spec),
        terminating="deletionTimestamp" in metadata,
        holders=holders_of(pod),
        ip=status.get("podIP") or "",
        takes_role=_takes_role(spec),
        holds_token=_holds_token(spec),
    )


def with_workload(pod: PodFacts, tops: Mapping[str, ResourceRef]) -> PodFacts:
    """The pod with the controller at the top of its chain; `tops` holds it by the uid of the direct controller."""
    if pod.owner is None:
        return pod
    return pod.model_copy(update={"workload": tops.get(pod.owner.uid, pod.owner)})


def pod_target(pod: PodFacts, *, owner_needed: bool) -> PodTarget:
    """The pod as containment acts on it.

    Args:
        pod: The pod.
        owner_needed: Whether the cluster's network plugin leaves out pods without an owner.
    """
    return PodTarget(
        namespace=pod.namespace,
        name=pod.name,
        uid=pod.uid,
        node=pod.node,
        workload=pod.workload or pod.owner,
        static=pod.static,
        unreachable=_unreachable(pod, owner_needed=owner_needed),
    )


def container_ids(pod: JsonObject) -> set[str]:
    """The runtime's ids of the pod's containers, current and previous, without the runtime's name in front."""
    status = pod.get("status") or {}
    states = [
        s for key in ("container", "initContainer", "ephemeralContainer") for s in status.get(f"{key}Statuses") or ()
    ]
    ids = {str(s.get("containerID") or "") for s in states}
    ids |= {str(((s.get("lastState") or {}).get("terminated") or {}).get("containerID") or "") for s in states}
    return {i.rpartition("://")[2] for i in ids} - {""}


def _unreachable(pod: PodFacts, *, owner_needed: bool) -> str:
    if pod.host_network:
        return "the pod uses the network of its node"
    if pod.fargate:
        return "the pod runs on Fargate, where no NetworkPolicy is enforced"
    if pod.windows:
        return "the pod runs on Windows, where no NetworkPolicy is enforced"
    if owner_needed and pod.owner is None:
        return "the pod has no owner, and the VPC CNI enforces NetworkPolicies only on pods that have one"
    return ""


def _containers(spec: JsonObject, status: JsonObject) -> Iterable[ContainerFacts]:
    for kind, key in _LISTS:
        prefix = key.removesuffix("s")
        running = {s["name"]: s for s in status.get(f"{prefix}Statuses") or ()}
        for container in spec.get(key) or ():
            yield ContainerFacts(
                name=container["name"],
                image=container.get("image") or "",
                image_id=(running.get(container["name"]) or {}).get("imageID") or "",
                privileged=bool((container.get("securityContext") or {}).get("privileged")),
                kind=kind,
            )


def _is_windows(spec: JsonObject) -> bool:
    # A pod only gets to a Windows node by one of the two: the nodes of a mixed cluster are told apart by this label.
    os = (spec.get("os") or {}).get("name")
    return os == "windows" or (spec.get("nodeSelector") or {}).get("kubernetes.io/os") == "windows"


def _takes_role(spec: JsonObject) -> bool:
    return any(a.startswith(_AWS_AUDIENCES) for a in _audiences(spec))


def _holds_token(spec: JsonObject) -> bool:
    # The API server's own admission mounts it as a volume, unless the pod or its account forbids that.
    return any(not a.startswith(_AWS_AUDIENCES) for a in _audiences(spec))


def _audiences(spec: JsonObject) -> list[str]:
    """Of the tokens that the pod mounts; "" is the API server."""
    sources = (s for v in spec.get("volumes") or () for s in (v.get("projected") or {}).get("sources") or ())
    tokens = (s["serviceAccountToken"] for s in sources if s.get("serviceAccountToken") is not None)
    return [str(t.get("audience") or "") for t in tokens]

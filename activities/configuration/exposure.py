"""What opens a dashboard to the world: Services of type LoadBalancer or NodePort, and Ingresses (guide C4)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path, object_path
from contracts.changes import pointer
from errors import TargetGone
from findings.model import Finding
from findings.workload import WorkloadKind
from plans.model import Change, ResourceRef

_OPEN_TYPES: Final = ("LoadBalancer", "NodePort")
_USUAL: Final = ("kubernetes-dashboard", "kubernetes-dashboard-kong-proxy", "istio-ingressgateway", "centraldashboard")
"""Services by which the dashboards of Kubernetes and Kubeflow are reached where the finding names no workload."""
_KINDS: Final = {
    WorkloadKind.DEPLOYMENT: "Deployment",
    WorkloadKind.REPLICASET: "ReplicaSet",
    WorkloadKind.STATEFULSET: "StatefulSet",
    WorkloadKind.DAEMONSET: "DaemonSet",
    WorkloadKind.POD: "Pod",
}
_ONLY_OPEN: Final = (
    "externalTrafficPolicy",
    "allocateLoadBalancerNodePorts",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "healthCheckNodePort",
    "externalIPs",
)
"""Fields that a Service of type ClusterIP may not have, or that open it too.
https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/"""


class Exposure(NamedTuple):
    """What is open.

    Attributes:
        names: Of all Services that lead there, open or not.
        sure: Whether it leads to the workload that the finding names; otherwise only the usual names were looked for.
    """

    services: tuple[JsonObject, ...]
    ingresses: tuple[JsonObject, ...]
    names: frozenset[str]
    sure: bool

    @property
    def refs(self) -> tuple[ResourceRef, ...]:
        """All of it, as resources."""
        return (*(ref("Service", s) for s in self.services), *(ref("Ingress", i) for i in self.ingresses))


def exposure_of(kubernetes: Kubernetes, finding: Finding) -> Exposure:
    """What opens the workload of a finding, or what usually opens a dashboard.

    Raises:
        Forbidden: Our identity may not list Services or Ingresses.
    """
    labels = _labels(kubernetes, finding)
    if labels is not None and finding.workload is not None:
        namespace = finding.workload.namespace
        leading = [s for s in kubernetes.items(list_path("Service", namespace)) if _selects(s, labels)]
    else:
        leading = [s for s in kubernetes.items(list_path("Service")) if s["metadata"]["name"] in _USUAL]
    names = {(s["metadata"]["namespace"], s["metadata"]["name"]) for s in leading}
    ingresses = [
        i
        for i in kubernetes.items(list_path("Ingress"))
        if any((i["metadata"]["namespace"], n) in names for n in _backends(i))
    ]
    opened = tuple(s for s in leading if _is_open(s))
    return Exposure(opened, tuple(ingresses), frozenset(name for _, name in names), labels is not None)


def closing_service(service: JsonObject, step: str) -> Change:
    """The type becomes ClusterIP; ports of the nodes and all that belongs to the old type is recorded."""
    spec = service["spec"]
    ports = [{k: v for k, v in p.items() if k != "nodePort"} for p in spec.get("ports") or ()]
    before: dict[str, Any] = {"/spec/type": spec.get("type"), "/spec/ports": spec.get("ports")}
    after: dict[str, Any] = {"/spec/type": "ClusterIP", "/spec/ports": ports or None}
    for name in _ONLY_OPEN:
        if name in spec:
            before[pointer("spec", name)], after[pointer("spec", name)] = spec[name], None
    summary = f"is of type ClusterIP, no longer {spec.get('type')}"
    return Change(step=step, resource=ref("Service", service), summary=summary, before=before, after=after)


def closing_ingress(ingress: JsonObject, names: set[str], step: str) -> Change | None:
    """The rules without the paths that lead to these Services; None where nothing would be left of it."""
    spec = ingress["spec"]
    rules = [kept for rule in spec.get("rules") or () if (kept := _without(rule, names))]
    default = _service_of(spec.get("defaultBackend") or {})
    if not rules and (default in names or not default):
        return None
    before: dict[str, Any] = {"/spec/rules": spec.get("rules")}
    after: dict[str, Any] = {"/spec/rules": rules or None}
    if default in names:
        before["/spec/defaultBackend"], after["/spec/defaultBackend"] = spec["defaultBackend"], None
    summary = f"no longer leads to {', '.join(sorted(names))[:120]}"
    return Change(step=step, resource=ref("Ingress", ingress), summary=summary, before=before, after=after)


def ref(kind: str, obj: JsonObject) -> ResourceRef:
    """An object as a resource."""
    metadata = obj["metadata"]
    return ResourceRef(kind=kind, namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"])


def _labels(kubernetes: Kubernetes, finding: Finding) -> dict[str, str] | None:
    """The labels of the pods of the workload that the finding names; None where it names none that exists."""
    workload = finding.workload
    kind = _KINDS.get(workload.kind) if workload is not None else None
    if workload is None or kind is None or not workload.name or not workload.namespace:
        return None
    try:
        live = kubernetes.get(object_path(kind, workload.namespace, workload.name))
    except TargetGone:
        return None
    if workload.uid and live["metadata"]["uid"] != workload.uid:
        return None
    metadata = live["metadata"] if kind == "Pod" else live["spec"]["template"].get("metadata") or {}
    return dict(metadata.get("labels") or {})


def _selects(service: JsonObject, labels: dict[str, str]) -> bool:
    selector: dict[str, str] = service["spec"].get("selector") or {}
    return bool(selector) and selector.items() <= labels.items()


def _is_open(service: JsonObject) -> bool:
    spec = service["spec"]
    return spec.get("type") in _OPEN_TYPES or bool(spec.get("externalIPs"))


def _backends(ingress: JsonObject) -> set[str]:
    spec = ingress["spec"]
    paths = [p for r in spec.get("rules") or () for p in (r.get("http") or {}).get("paths") or ()]
    found = [_service_of(p.get("backend") or {}) for p in paths]
    return {n for n in (*found, _service_of(spec.get("defaultBackend") or {})) if n}


def _service_of(backend: JsonObject) -> str:
    return str((backend.get("service") or {}).get("name", ""))


def _without(rule: JsonObject, names: set[str]) -> JsonObject | None:
    paths = (rule.get("http") or {}).get("paths") or ()
    left = [p for p in paths if _service_of(p.get("backend") or {}) not in names]
    if not paths:
        return rule
    return {**rule, "http": {**rule["http"], "paths": left}} if left else None

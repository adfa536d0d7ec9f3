"""What else a containment touches: policies that select the pods, Services that they carry, workloads beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import cast

from pydantic import JsonValue

from activities.assess.reading import controller_of
from activities.isolation.evaluate import policy_rule
from activities.isolation.holders import holders_of
from activities.isolation.objects import live_list
from activities.isolation.selectors import leaves_out_quarantined, matches, with_expression, without_expression
from clients.kubernetes import PAGE, JsonObject, Kubernetes
from clients.paths import list_path
from contracts.changes import SELECTOR_FIELD, deny_all_change
from contracts.names import HOLD_LABEL, LABEL_ON, QUARANTINE_POLICY, QUARANTINED_LABEL
from plans.model import Change, ResourceRef
from plans.observed import PodFacts, PolicyFacts
from plans.situation import listed

QUARANTINE_STEP = "pod.quarantine"
IMAGE_QUARANTINE_STEP = "image.quarantine"

_MARKS = {QUARANTINED_LABEL: LABEL_ON, HOLD_LABEL: LABEL_ON}
_GLANCE = 50
"""So many pods are looked at to name the workloads beside the targets: the sentence names five."""

# Who puts a changed object back, by what it writes on what it applies; the first that is there is named.
# https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/, https://fluxcd.io/flux/components/kustomize/
_MANAGERS = (
    ("annotations", "argocd.argoproj.io/tracking-id", "Argo CD"),
    ("labels", "argocd.argoproj.io/instance", "Argo CD"),
    ("labels", "kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("labels", "helm.toolkit.fluxcd.io/name", "Flux"),
    ("annotations", "meta.helm.sh/release-name", "Helm"),
)


def read_policies(kubernetes: Kubernetes, namespace: str) -> list[JsonObject]:
    """The NetworkPolicies of one namespace, reduced to what is asked of them, without our own.

    From the watch cache, since containment waits for the plan: what it misses by a moment, verification finds.
    """
    kept = ("name", "namespace", "uid", "labels", "annotations", "ownerReferences")
    return [
        {"metadata": {k: p["metadata"][k] for k in kept if k in p["metadata"]}, "spec": p.get("spec") or {}}
        for p in live_list(kubernetes, list_path("NetworkPolicy", namespace), cached=True)
        if p["metadata"]["name"] != QUARANTINE_POLICY
    ]


def selecting(policies: Iterable[JsonObject], pods: Iterable[PodFacts]) -> list[JsonObject]:
    """The policies that select one of the pods now, or would once the quarantine labels stand on it."""
    labels: dict[str, set[tuple[tuple[str, str], ...]]] = {}
    for pod in pods:
        plain = {k: v for k, v in pod.labels.items() if k not in _MARKS}
        labels.setdefault(pod.namespace, set()).add(tuple(sorted(plain.items())))
    found = []
    for policy in policies:
        selector = policy_rule(policy).selector
        for plain_labels in labels.get(policy["metadata"]["namespace"], ()):
            plain = dict(plain_labels)
            if matches(selector, plain) or matches(selector, plain | _MARKS):
                found.append(policy)
                break
    return found


def policy_facts(policy: JsonObject) -> PolicyFacts:
    """One policy as the plan tells of it."""
    metadata = policy["metadata"]
    return PolicyFacts(ref=_ref(policy), pod_selector=dict(policy_rule(policy).selector), managed_by=_manager(metadata))


def planned_changes(
    policies: Iterable[JsonObject], namespaces: Iterable[str], step: str = QUARANTINE_STEP
) -> tuple[Change, ...]:
    """Containment's changes of NetworkPolicies with their before-state (design: Isolation, 1 and 2).

    The deny-all policy is listed even where it stands, and so is an edit that another incident made: this incident
    becomes a holder of both, and its release lets go of them. A policy without any rule opens nothing and is left
    alone, and so is one that its owner wrote to leave out quarantined pods.
    """
    changes = [deny_all_change(namespace, step) for namespace in sorted(set(namespaces))]
    for policy in sorted(policies, key=lambda p: (p["metadata"]["namespace"], p["metadata"]["name"])):
        rule = policy_rule(policy)
        if not rule.opens or (leaves_out_quarantined(rule.selector) and not holders_of(policy)):
            continue
        expressions = (policy["spec"].get("podSelector") or {}).get("matchExpressions")
        before: JsonValue = cast(JsonValue, without_expression(expressions))
        after: JsonValue = cast(JsonValue, with_expression(expressions))
        changes.append(
            Change(
                step=step,
                resource=_ref(policy),
                summary="selector leaves out quarantined pods",
                before={SELECTOR_FIELD: before},
                after={SELECTOR_FIELD: after},
            )
        )
    return tuple(changes)


def read_endpoints(kubernetes: Kubernetes, namespace: str) -> dict[str, set[str]]:
    """The uids of what stands behind each Service of a namespace and is ready; "" for what is no object."""
    ready: dict[str, set[str]] = {}
    for piece in live_list(kubernetes, list_path("EndpointSlice", namespace), cached=True):
        service = (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name")
        for endpoint in (piece.get("endpoints") or ()) if service else ():
            # Unknown is to be read as ready.
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                ready.setdefault(str(service), set()).add(str((endpoint.get("targetRef") or {}).get("uid") or ""))
    return ready


def left_empty(endpoints: Mapping[str, Mapping[str, set[str]]], targets: Collection[str]) -> tuple[str, ...]:
    """`namespace/name` of the Services whose every ready endpoint is a target."""
    return tuple(
        f"{namespace}/{service}"
        for namespace, services in sorted(endpoints.items())
        for service, uids in sorted(services.items())
        if uids and uids <= set(targets)
    )


def beside(kubernetes: Kubernetes, field: str, value: str, namespace: str, targets: Collection[str]) -> str:
    """Which workloads share something with the targets: `ReplicaSet a/b, DaemonSet c/d and more`, or "".

    Args:
        kubernetes: The door.
        field: What is shared, as a field selector of pods: `spec.serviceAccountName` or `spec.nodeName`.
        value: Its value.
        namespace: Where to look; "" for everywhere.
        targets: The uids of the pods that are contained.
    """
    # With the targets taken out, fifty pods must be left over to look at.
    limit = min(PAGE, _GLANCE + len(targets))
    # Any version from 1 on is new enough: so the watch cache answers at once, and unlike with 0 it keeps to the limit.
    cached = {"resourceVersion": "1", "resourceVersionMatch": "NotOlderThan"}
    page = kubernetes.get(list_path("Pod", namespace), fieldSelector=f"{field}={value}", limit=str(limit), **cached)
    others = [p for p in page.get("items") or () if p["metadata"]["uid"] not in targets]
    if not others:
        return ""
    names = dict.fromkeys(str(controller_of(p) or _ref(p, "Pod")) for p in others)
    more = " and more" if (page.get("metadata") or {}).get("continue") else ""
    return f"{listed(list(names))}{more}"


def accounts_of(pods: Sequence[PodFacts]) -> list[tuple[str, str]]:
    """Namespace and name of the service accounts that the pods run as."""
    return sorted({(p.namespace, p.service_account) for p in pods})


def _ref(obj: JsonObject, kind: str = "NetworkPolicy") -> ResourceRef:
    metadata = obj["metadata"]
    return ResourceRef(kind=kind, namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"])


def _manager(metadata: Mapping[str, dict[str, str]]) -> str:
    for where, key, name in _MANAGERS:
        if key in (metadata.get(where) or {}):
            return name
    owner = controller_of({"metadata": metadata})
    return str(owner) if owner is not None else (metadata.get("labels") or {}).get("app.kubernetes.io/managed-by", "")

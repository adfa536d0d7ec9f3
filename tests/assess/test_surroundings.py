"""What containment would change, and what it would take down."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from activities.assess.surroundings import planned_changes, policy_facts, selecting
from clients.kubernetes import Kubernetes
from clients.paths import list_path
from contracts.activities import Assessment
from contracts.changes import SELECTOR_FIELD
from contracts.names import INCIDENTS_ANNOTATION, QUARANTINED_LABEL
from plans.observed import PodFacts
from tests.assess.support import JsonObject, eventually, pod_spec, template, workload_of

OURS = {"key": QUARANTINED_LABEL, "operator": "DoesNotExist"}
OPEN: JsonObject = {"ingress": [{}], "policyTypes": ["Ingress"]}


def policy(selector: JsonObject, spec: JsonObject = OPEN, name: str = "p", **metadata: JsonObject) -> JsonObject:
    about = {"name": name, "namespace": "shop", "uid": f"uid-{name}", **metadata}
    return {"metadata": about, "spec": {"podSelector": selector, **spec}}


def pod(**labels: str) -> PodFacts:
    return PodFacts(namespace="shop", name="web", uid="u", labels=labels)


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "x"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
        # It would wake up only once the quarantine label stands on the pod: a trap that must be seen before.
        ({"matchExpressions": [{"key": QUARANTINED_LABEL, "operator": "Exists"}]}, True),
        ({"matchExpressions": [OURS]}, True),
    ],
)
def test_which_policies_select_a_target(selector: JsonObject, selects: bool) -> None:
    assert bool(selecting([policy(selector)], [pod(app="web")])) is selects


def test_a_policy_of_another_namespace_selects_nothing() -> None:
    other = policy({})
    other["metadata"]["namespace"] = "elsewhere"
    assert selecting([other], [pod(app="web")]) == []


@pytest.mark.parametrize(
    ("found", "before", "after"),
    [
        (policy({}), None, [OURS]),
        (
            policy({"matchExpressions": [{"key": "a", "operator": "Exists"}]}),
            [{"key": "a", "operator": "Exists"}],
            [{"key": "a", "operator": "Exists"}, OURS],
        ),
        # Another incident made the edit: this one becomes a holder, and the before-state is that of neither.
        (policy({"matchExpressions": [OURS]}, annotations={INCIDENTS_ANNOTATION: '["gd/x"]'}), None, [OURS]),
    ],
)
def test_the_selectors_before_and_after(found: JsonObject, before: object, after: object) -> None:
    deny, change = planned_changes([found], ["shop"])
    assert deny.resource.name == "firebreak-quarantine" and deny.before == {"": None}
    assert change.before == {SELECTOR_FIELD: before} and change.after == {SELECTOR_FIELD: after}
    assert change.resource.uid == "uid-p" and change.step == "pod.quarantine"


@pytest.mark.parametrize(
    "found",
    [
        policy({}, {"policyTypes": ["Ingress", "Egress"]}),
        policy({}, {"policyTypes": ["Egress"], "ingress": [{}]}),
        # Its owner left out quarantined pods: it is not ours to take away again.
        policy({"matchExpressions": [OURS]}),
    ],
    ids=["deny all", "a rule in a direction that it has not", "written so by its owner"],
)
def test_a_policy_that_opens_nothing_is_left_alone(found: JsonObject) -> None:
    assert [c.resource.name for c in planned_changes([found], ["shop"])] == ["firebreak-quarantine"]


@pytest.mark.parametrize(
    ("metadata", "manager"),
    [
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "Helm"),
        ({"labels": {"app.kubernetes.io/managed-by": "x", "kustomize.toolkit.fluxcd.io/name": "apps"}}, "Flux"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "a"}}, "Argo CD"),
        (
            {
                "ownerReferences": [
                    {"kind": "Shop", "apiVersion": "a.b/v1", "name": "s", "uid": "1", "controller": True}
                ]
            },
            "Shop shop/s",
        ),
        ({}, ""),
    ],
)
def test_who_would_put_a_policy_back(metadata: JsonObject, manager: str) -> None:
    assert policy_facts(policy({}, **metadata)).managed_by == manager


@pytest.mark.stack
def test_the_plan_of_a_live_pod_names_policies_and_services(
    make: Callable[..., JsonObject],
    running: Callable[[str, int], list[JsonObject]],
    found: Callable[..., Assessment],
    admin_door: Kubernetes,
    space: str,
) -> None:
    deployment = make(
        "Deployment",
        "web",
        {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "w"}},
            "template": template("w"),
        },
    )
    pods = running("w", 2)
    make("Service", "web", {"selector": {"app": "w"}, "ports": [{"port": 80}]})
    make("NetworkPolicy", "open", {"podSelector": {"matchLabels": {"app": "w"}}, **OPEN})
    make("NetworkPolicy", "closed", {"podSelector": {}, "policyTypes": ["Ingress"]})
    make("NetworkPolicy", "other", {"podSelector": {"matchLabels": {"app": "x"}}, **OPEN})

    def both_ready() -> bool:
        slices = admin_door.items(list_path("EndpointSlice", space))
        endpoints = [e for s in slices for e in s.get("endpoints") or ()]
        return len([e for e in endpoints if (e.get("conditions") or {}).get("ready")]) == 2

    eventually(both_ready, "two ready endpoints")
    one = found(workload=workload_of(pods[0], "pods"))
    assert [c.resource.name for c in one.changes] == ["firebreak-quarantine", "open"]
    assert not any("left without a ready endpoint" in w for w in one.plan.warnings)
    both = found(workload=workload_of(deployment, "deployments"))
    assert any(f"{space}/web is left without a ready endpoint" in w for w in both.plan.warnings)


@pytest.mark.stack
def test_a_bare_pod_is_beyond_the_vpc_cni(
    make: Callable[..., JsonObject], found: Callable[..., Assessment], vpc_cni: None
) -> None:
    assessment = found(workload=workload_of(make("Pod", "bare", pod_spec()), "pods"))
    assert assessment.cluster.enforces_policies is True
    assert "no owner" in assessment.pods.inline[0].unreachable

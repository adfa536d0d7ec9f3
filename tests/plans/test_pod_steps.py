"""The steps of the pod path: what they act on, in which order, and what they warn of."""

from __future__ import annotations

from typing import Any

import pytest

from findings.model import KubernetesUser
from findings.sequence import Sequence, SequenceResource
from findings.workload import WorkloadKind
from plans.digest import targets_sha256
from plans.model import Plan, ResourceRef, Step, TargetKind, Verdict
from plans.observed import ClusterFacts, PolicyFacts, WorkloadFacts
from plans.planner import make_plan
from plans.policy import Policy
from tests.plans.builders import USER_TYPE, WEB, a_finding, a_pod, a_workload, an_observed

BARE: dict[str, Any] = {"owner": None, "workload": None}
STATIC: dict[str, Any] = {
    "static": True,
    "owner": ResourceRef(kind="Node", name="node-a", uid="n-1"),
    "workload": ResourceRef(kind="Node", name="node-a", uid="n-1"),
}


def plan_of(**observed: Any) -> Plan:
    return make_plan(a_finding(), an_observed(**observed), Policy())


def step(plan: Plan, action: str) -> Step:
    return next(s for s in plan.steps if s.step == f"pod.{action}")


def actions(plan: Plan) -> list[str]:
    return [s.action for s in plan.steps]


def warned(plan: Plan, *words: str) -> bool:
    return any(all(word in warning for word in words) for warning in plan.warnings)


def test_targets_carry_what_tells_them_apart() -> None:
    plan = plan_of(pods=(a_pod(1), a_pod(0)))
    pods = step(plan, "quarantine").targets
    assert [(t.kind, t.namespace, t.name, t.uid, t.node) for t in pods] == [
        (TargetKind.POD, "shop", "web-0", "p-0", "node-a"),
        (TargetKind.POD, "shop", "web-1", "p-1", "node-a"),
    ]
    assert {t.owner for t in pods} == {WEB}
    assert step(plan, "collect").targets == step(plan, "delete").targets == pods
    (workload,) = step(plan, "redeploy").targets
    assert (workload.kind, workload.name, workload.uid) == (TargetKind.WORKLOAD, "web", "d-1")
    assert step(plan, "redeploy").target_count == 1


def test_every_step_says_what_undoes_it_or_that_nothing_does() -> None:
    plan = plan_of()
    assert "release" in step(plan, "quarantine").undo
    assert "Nothing brings a deleted pod back" in step(plan, "delete").undo
    assert all(s.undo.endswith(".") and s.reason.endswith(".") for s in plan.steps)


def test_a_pod_without_an_owner_is_not_redeployed() -> None:
    plan = plan_of(pods=(a_pod(**BARE),), workloads=())
    assert actions(plan) == ["quarantine", "collect", "delete"]
    assert warned(plan, "without an owner", "shop/web-0")
    assert warned(plan, "VPC CNI", "shop/web-0")
    assert not warned(plan_of(), "without an owner")


def test_the_vpc_warning_is_not_given_where_another_plugin_enforces() -> None:
    calico = ClusterFacts(enforces_policies=True, cni="calico", admission_ready=True)
    assert not warned(plan_of(pods=(a_pod(**BARE),), cluster=calico), "VPC CNI")


@pytest.mark.parametrize(
    "kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "CronJob"]
)
def test_workloads_whose_template_can_be_changed(kind: str) -> None:
    owner = ResourceRef(kind=kind, namespace="shop", name="x", uid="x-1")
    plan = plan_of(pods=(a_pod(owner=owner, workload=None),), workloads=())
    assert [t.uid for t in step(plan, "redeploy").targets] == ["x-1"]


@pytest.mark.parametrize("kind", ["Job", "Rollout", "PodGroup"])
def test_workloads_whose_template_cannot(kind: str) -> None:
    owner = ResourceRef(kind=kind, namespace="shop", name="x", uid="x-1")
    plan = plan_of(pods=(a_pod(owner=owner, workload=owner),), workloads=())
    assert "redeploy" not in actions(plan)
    assert warned(plan, "cannot be changed", f"{kind} shop/x")


def test_two_workloads_of_the_same_name_are_two() -> None:
    twin = ResourceRef(kind="StatefulSet", namespace="shop", name="web", uid="s-1")
    plan = plan_of(pods=(a_pod(0), a_pod(1), a_pod(2, workload=twin)))
    assert sorted(t.uid for t in step(plan, "redeploy").targets) == ["d-1", "s-1"]


def test_deleting_a_static_pod_is_pointless() -> None:
    plan = plan_of(pods=(a_pod(**STATIC),), workloads=())
    assert actions(plan) == ["quarantine", "collect", "delete"]
    assert step(plan, "delete").decision is Verdict.NEVER
    assert "manifest folder" in step(plan, "delete").reason
    assert step(plan, "quarantine").decision is Verdict.AUTO
    assert warned(plan, "Static pods", "shop/web-0")
    # The node that owns a static pod is no workload to repair.
    assert not warned(plan, "cannot be changed")


def test_static_pods_among_others_are_left_out_of_the_deletion() -> None:
    plan = plan_of(pods=(a_pod(0), a_pod(1, **STATIC)))
    assert [t.uid for t in step(plan, "quarantine").targets] == ["p-0", "p-1"]
    assert [t.uid for t in step(plan, "delete").targets] == ["p-0"]
    assert step(plan, "delete").target_count == 1
    assert step(plan, "delete").decision is Verdict.APPROVAL


@pytest.mark.parametrize(
    ("facts", "where", "stronger"),
    [
        ({"host_network": True}, "the network of their node", "isolate the node"),
        ({"windows": True}, "on Windows", "isolate the node"),
        ({"fargate": True}, "on Fargate", "deletion"),
    ],
)
def test_where_a_policy_does_not_reach_the_next_stronger_step_is_proposed(
    facts: dict[str, Any], where: str, stronger: str
) -> None:
    plan = plan_of(pods=(a_pod(**facts),))
    assert step(plan, "quarantine").decision is Verdict.AUTO
    assert warned(plan, "does not reach", where, "shop/web-0", stronger)
    assert not warned(plan_of(), "does not reach")


def test_what_is_going_away_already_is_said() -> None:
    assert warned(plan_of(pods=(a_pod(terminating=True),)), "being deleted already", "shop/web-0")
    assert warned(plan_of(terminating_namespaces=("shop",)), "Namespaces that are being deleted", "shop")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"replicas": 0}, "scaled to zero"),
        ({"replicas": 1, "paused": True}, "is paused"),
        ({"replicas": 1, "strategy": "OnDelete"}, "OnDelete"),
    ],
)
def test_what_stands_in_the_way_of_a_rollout_is_said(facts: dict[str, Any], said: str) -> None:
    assert warned(plan_of(workloads=(WorkloadFacts(ref=WEB, **facts),)), said, "Deployment shop/web")
    assert not warned(plan_of(), said)


def test_a_workload_scaled_to_zero_can_still_be_repaired() -> None:
    finding = a_finding(workload=a_workload(kind=WorkloadKind.DEPLOYMENT, name="web", uid="d-1"))
    plan = make_plan(finding, an_observed(pods=()), Policy())
    decisions = {s.action: s.decision for s in plan.steps}
    assert decisions == {
        "quarantine": Verdict.NEVER,
        "collect": Verdict.NEVER,
        "redeploy": Verdict.APPROVAL,
        "delete": Verdict.NEVER,
    }
    assert step(plan, "quarantine").reason == "No pod runs for deployment shop/web."
    assert not plan.plan_only


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"unresolved": "No such Deployment."}, "No pod could be determined: No such Deployment."),
        ({"vanished": True}, "gone, and nothing runs in its place"),
        ({}, "No pod runs for pod shop/web-0."),
    ],
)
def test_without_any_pod_nothing_is_done_and_the_reason_is_said(facts: dict[str, Any], said: str) -> None:
    plan = plan_of(pods=(), workloads=(), **facts)
    assert {s.decision for s in plan.steps} == {Verdict.NEVER}
    assert said in step(plan, "quarantine").reason
    assert plan.plan_only and plan.gates == ()


def test_what_it_would_take_down_is_said() -> None:
    plan = plan_of(services_left_empty=("shop/web",), shared=("3 other workloads run as shop/web",))
    assert "The Service shop/web is left without a ready endpoint." in plan.warnings
    assert "3 other workloads run as shop/web." in plan.warnings


def test_what_the_cluster_cannot_do_is_said() -> None:
    off = ClusterFacts(enforces_policies=False, cni="vpc-cni", foreign_policies=("CiliumNetworkPolicy a/b",))
    plan = plan_of(
        cluster=off, policies=(PolicyFacts(ref=ResourceRef(kind="NetworkPolicy", name="x"), managed_by="argo"),)
    )
    assert warned(plan, "vpc-cni does not enforce")
    assert warned(plan, "does not evaluate", "CiliumNetworkPolicy a/b")
    assert warned(plan, "admission policies are not installed")
    assert warned(plan, "NetworkPolicy x", "argo")
    assert warned(plan_of(cluster=ClusterFacts()), "not known whether")
    assert plan_of().warnings == ()


def test_a_name_alone_proves_nothing_and_that_is_said() -> None:
    plan = make_plan(a_finding(workload=a_workload(uid="")), an_observed(), Policy())
    assert warned(plan, "no uid", "shop/web-0")


def test_pods_held_by_another_incident_are_named() -> None:
    assert warned(plan_of(pods=(a_pod(holders=("gd/1/x/2",)),)), "holds shop/web-0")


def test_names_from_outside_cannot_break_a_line_or_run_on() -> None:
    evil = "a\nb\u202e" + "c" * 500
    plan = plan_of(unresolved=evil, budget_refusal=evil, shared=(evil,))
    for text in (*plan.warnings, *(s.reason for s in plan.steps)):
        assert text.isprintable()
        assert len(text) < 1500


def test_more_than_two_hundred_pods_are_a_count_and_a_hash() -> None:
    pods = tuple(a_pod(i) for i in range(450))
    uids = [p.uid for p in pods]
    for observed in (
        an_observed(pods=pods),
        an_observed(pods=pods[:200], pod_count=450, targets_sha256=targets_sha256(uids)),
    ):
        quarantine = step(make_plan(a_finding(), observed, Policy()), "quarantine")
        assert (len(quarantine.targets), quarantine.target_count) == (200, 450)
        assert quarantine.targets_sha256 == targets_sha256(reversed(uids))
        assert [t.name for t in quarantine.targets] == sorted(t.name for t in quarantine.targets)
    # A list that is complete needs no hash, and a needless one must not change the digest.
    few = step(plan_of(targets_sha256="ab"), "quarantine")
    assert (few.target_count, few.targets_sha256) == (1, "")


def test_an_uncovered_rest_is_said() -> None:
    assert warned(plan_of(pod_count=450), "Only 1 of 450")
    assert not warned(plan_of(pod_count=450, targets_sha256="ab"), "Only 1 of 450")


def test_offline_targets_come_from_the_finding() -> None:
    def offline(**more: Any) -> Plan:
        return make_plan(a_finding(**more), None, Policy())

    (pod,) = step(offline(), "quarantine").targets
    assert (pod.kind, pod.name, pod.uid) == (TargetKind.POD, "web-0", "p-0")
    assert "redeploy" not in actions(offline())
    deployment = offline(workload=a_workload(kind=WorkloadKind.DEPLOYMENT, name="web", uid="d-1"))
    assert [t.kind for t in step(deployment, "redeploy").targets] == [TargetKind.WORKLOAD]
    assert "redeploy" not in actions(offline(workload=a_workload(kind=WorkloadKind.JOB)))
    account = offline(type=USER_TYPE, workload=None, user=KubernetesUser(username="system:serviceaccount:shop:web"))
    (target,) = step(account, "quarantine").targets
    assert (target.kind, target.namespace, target.name) == (TargetKind.SERVICE_ACCOUNT, "shop", "web")
    assert warned(account, "stands for all of its pods")


def test_offline_a_sequence_names_its_workloads() -> None:
    resources = [
        SequenceResource(uid=f"r{i}", type="KUBERNETES_WORKLOAD", name=f"w{i}", namespace="shop", kind=WorkloadKind.POD)
        for i in range(3)
    ]
    finding = a_finding(
        type="AttackSequence:EKS/CompromisedCluster",
        workload=None,
        sequence=Sequence(uid="s", resources=tuple(resources)),
    )
    assert [t.name for t in step(make_plan(finding, None, Policy()), "quarantine").targets] == ["w0", "w1", "w2"]


def test_the_role_of_a_pod_is_ended_where_it_has_one() -> None:
    assert "cut_pod_roles" not in actions(plan_of())
    plan = plan_of(pods=(a_pod(0, takes_role=True), a_pod(1, takes_role=True), a_pod(2, service_account="api")))
    for action in ("cut_pod_roles", "revoke_sessions"):
        (target,) = step(plan, action).targets
        assert (target.kind, target.namespace, target.name) == (TargetKind.SERVICE_ACCOUNT, "shop", "web")
        assert step(plan, action).decision is Verdict.APPROVAL
    assert actions(plan).index("cut_pod_roles") < actions(plan).index("revoke_sessions")


def test_a_finding_about_a_user_ends_the_roles_of_the_pods_on_the_user_path_alone() -> None:
    finding = a_finding(user=KubernetesUser(username="system:serviceaccount:shop:api"), type=USER_TYPE)
    plan = make_plan(finding, an_observed(pods=(a_pod(0, takes_role=True),)), Policy(), unbuilt=frozenset())
    cut = [s for s in plan.steps if s.action == "cut_pod_roles"]
    assert [(s.path.value, [t.name for t in s.targets]) for s in cut] == [("user", ["api", "web"])]

"""Whose account is rotated because somebody is in its pod, on which path, and who is left as he is (guide P5, I3)."""

from __future__ import annotations

from typing import Any

import pytest

from findings.model import KubernetesUser
from plans.model import Gate, Plan, Verdict
from plans.observed import ImageFacts, PodFacts
from plans.planner import make_plan
from plans.policy import Policy
from tests.plans.builders import USER_TYPE, a_finding, a_pod, an_observed
from tests.plans.test_image_steps import BAD, MALWARE

ROTATION = ("recreate_account", "rotate_secrets")
ROLES = ("cut_pod_roles", "revoke_sessions")
OWN = (("pod", "shop/web"), ("image", "batch/job"))
PROTECTING = Policy.model_validate({"protected": {"principals": ["system:serviceaccount:shop:web"]}})


def holding(index: int = 0, **more: Any) -> PodFacts:
    return a_pod(index, holds_token=True, **more)


def of_image(index: int = 0, account: str = "job", **more: Any) -> PodFacts:
    fields = {"namespace": "batch", "name": f"b-{index}", "uid": f"b-{index}", "service_account": account}
    return holding(index, **{**fields, **more})


def plan_of(*pods: PodFacts, bound: tuple[str, ...] = ("shop/web",), policy: Policy | None = None) -> Plan:
    observed = an_observed(pods=pods, bound_accounts=bound)
    return make_plan(a_finding(), observed, policy or Policy(), unbuilt=frozenset())


def image_plan(pods: tuple[PodFacts, ...], *image_pods: PodFacts, user: str = "") -> Plan:
    """With everybody bound."""
    everybody = tuple({f"{p.namespace}/{p.service_account}" for p in (*pods, *image_pods)})
    observed = an_observed(
        pods=pods,
        bound_accounts=everybody,
        images=(ImageFacts(name=BAD),),
        images_counted=True,
        image_pods=image_pods,
        image_pod_count=len(image_pods),
        image_pod_namespaces=tuple({p.namespace for p in image_pods}),
    )
    named = KubernetesUser(username=f"system:serviceaccount:{user}") if user else None
    return make_plan(a_finding(type=MALWARE, user=named), observed, Policy(), unbuilt=frozenset())


def rotated(plan: Plan, *actions: str) -> dict[str, list[str]]:
    wanted = actions or ROTATION
    return {s.step: [f"{t.namespace}/{t.name}" for t in s.targets] for s in plan.steps if s.action in wanted}


def warned(plan: Plan, text: str) -> bool:
    return any(text in w for w in plan.warnings)


def test_a_bound_account_whose_token_a_pod_carries_is_rotated_on_approval() -> None:
    plan = plan_of(holding(0), holding(1))
    assert rotated(plan) == {"pod.recreate_account": ["shop/web"], "pod.rotate_secrets": ["shop/web"]}
    for step in (s for s in plan.steps if s.action in ROTATION):
        assert (step.gate, step.decision) == (Gate.CREDENTIALS, Verdict.APPROVAL)
        assert step.undo.startswith("Nothing brings")
    order = [s.action for s in plan.steps]
    assert order.index("quarantine") < order.index("recreate_account") < order.index("delete")


@pytest.mark.parametrize(
    ("pod", "bound"),
    [
        (holding(), ()),
        (holding(), ("shop/other", "batch/web")),
        (a_pod(), ("shop/web",)),
        (a_pod(takes_role=True), ("shop/web",)),
    ],
)
def test_without_a_token_or_a_binding_there_is_nothing_to_approve(pod: PodFacts, bound: tuple[str, ...]) -> None:
    plan = plan_of(pod, bound=bound)
    assert rotated(plan) == {}
    assert (Gate.CREDENTIALS in {g.gate for g in plan.gates}) is pod.takes_role


def test_offline_nobody_knows_who_is_bound() -> None:
    assert rotated(make_plan(a_finding(), None, Policy(), unbuilt=frozenset())) == {}


def test_the_default_account_is_never_rotated_unasked() -> None:
    policy = Policy.model_validate({"gates": {"credentials": {"mode": "auto"}}})
    plan = plan_of(holding(0), holding(1, service_account="default"), bound=("shop/web", "shop/default"), policy=policy)
    assert rotated(plan)["pod.recreate_account"] == ["shop/default", "shop/web"]
    step = next(s for s in plan.steps if s.action == "recreate_account")
    assert step.decision is Verdict.APPROVAL and "shop/default is the account of every pod" in step.reason
    alone = next(s for s in plan_of(holding(), policy=policy).steps if s.action == "recreate_account")
    assert alone.decision is Verdict.AUTO, "the policy decides about the others"


def test_a_protected_account_stays_and_the_plan_says_so() -> None:
    plan = plan_of(holding(), policy=PROTECTING)
    assert rotated(plan) == {} and warned(plan, "until a person acts: shop/web.")
    plan = plan_of(holding(namespace="kube-system"), bound=("kube-system/web",))
    assert rotated(plan) == {} and warned(plan, "until a person acts: kube-system/web.")
    assert not warned(plan_of(holding()), "until a person acts")
    assert not warned(plan_of(holding(), bound=(), policy=PROTECTING), "until a person acts")


def test_where_the_user_path_is_open_it_rotates_them_and_nobody_else_does() -> None:
    finding = a_finding(user=KubernetesUser(username="system:serviceaccount:shop:api"), type=USER_TYPE)
    observed = an_observed(pods=(holding(),), bound_accounts=("shop/web", "shop/api"))
    plan = make_plan(finding, observed, Policy(), unbuilt=frozenset())
    both = ["shop/api", "shop/web"]
    assert rotated(plan) == {"user.recreate_account": both, "user.rotate_secrets": both}


def test_pods_of_an_image_lose_their_accounts_and_roles_on_its_path() -> None:
    plan = image_plan((holding(takes_role=True),), of_image(0, takes_role=True), of_image(1, "plain"))
    assert rotated(plan, *ROLES) == {f"{p}.{a}": [who] for p, who in OWN for a in ROLES}
    assert rotated(plan) == {
        f"{path}.{action}": names
        for path, names in (("pod", ["shop/web"]), ("image", ["batch/job", "batch/plain"]))
        for action in ROTATION
    }
    assert {s.decision for s in plan.steps if s.action in (*ROLES, *ROTATION)} == {Verdict.APPROVAL}


@pytest.mark.parametrize("user", ["", "shop:web"])
def test_an_account_that_pods_of_two_paths_share_is_rotated_once(user: str) -> None:
    shared = of_image(0, "web", namespace="shop", takes_role=True)
    plan = image_plan((holding(takes_role=True),), shared, of_image(1), user=user)
    path = "user" if user else "pod"
    assert rotated(plan, *ROLES) == {f"{path}.{a}": ["shop/web"] for a in ROLES}
    assert rotated(plan) == {
        f"{p}.{a}": [who] for p, who in ((path, "shop/web"), ("image", "batch/job")) for a in ROTATION
    }


def test_a_pod_of_the_other_path_without_the_token_rotates_nothing() -> None:
    shared = of_image(0, "web", namespace="shop")
    plan = image_plan((a_pod(),), shared)
    assert rotated(plan) == {f"image.{a}": ["shop/web"] for a in ROTATION}

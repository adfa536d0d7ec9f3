"""Whose account and secrets are rotated: the identities of the finding, and the accounts of its pods (P5, U6, U7)."""

from __future__ import annotations

import pytest

from findings.subject import SubjectKind
from plans.model import Gate, Plan, Step, Verdict
from plans.planner import make_plan
from plans.policy import Policy
from tests.plans.builders import USER_TYPE, USERS, a_finding, a_pod, an_observed


def plan_of(kind: SubjectKind, *accounts: str) -> Plan:
    user, key = USERS[kind]
    pods = tuple(a_pod(n, service_account=name) for n, name in enumerate(accounts))
    finding = a_finding(user=user, access_key=key, type=USER_TYPE)
    return make_plan(finding, an_observed(pods=pods), Policy(), unbuilt=frozenset())


def step(plan: Plan, action: str) -> Step:
    return next(s for s in plan.steps if s.step == f"user.{action}")


@pytest.mark.parametrize(
    ("kind", "accounts", "recreated", "rotated"),
    [
        (SubjectKind.SERVICE_ACCOUNT, ("web",), ["web"], ["web"]),
        (SubjectKind.SERVICE_ACCOUNT, ("web", "api"), ["api", "web"], ["api", "web"]),
        (SubjectKind.IAM_USER, ("api", "api"), ["api"], ["alice", "api"]),
        (SubjectKind.OIDC_USER, ("api",), ["api"], ["api", "bob@example.com"]),
    ],
)
def test_who_is_rotated(kind: SubjectKind, accounts: tuple[str, ...], recreated: list[str], rotated: list[str]) -> None:
    plan = plan_of(kind, *accounts)
    assert sorted(t.name for t in step(plan, "recreate_account").targets) == recreated
    assert sorted(t.name for t in step(plan, "rotate_secrets").targets) == rotated
    for action in ("recreate_account", "rotate_secrets"):
        assert step(plan, action).gate is Gate.CREDENTIALS
        assert step(plan, action).decision is Verdict.APPROVAL


def test_the_default_account_is_never_recreated_unasked_whatever_the_policy_says() -> None:
    policy = Policy.model_validate({"gates": {"credentials": {"mode": "auto"}}})
    user, key = USERS[SubjectKind.IAM_USER]
    finding = a_finding(user=user, access_key=key, type=USER_TYPE)
    for name, verdict in (("default", Verdict.APPROVAL), ("api", Verdict.AUTO)):
        plan = make_plan(finding, an_observed(pods=(a_pod(service_account=name),)), policy, unbuilt=frozenset())
        assert step(plan, "recreate_account").decision is verdict, name

"""Whom the steps of the user path name, and which of them wait for a person (guide U1 to U4)."""

from __future__ import annotations

import pytest

from findings.model import KubernetesUser
from findings.subject import SubjectKind
from plans.model import Gate, Path, Plan, Verdict
from plans.planner import make_plan
from plans.policy import Policy
from tests.plans.builders import USERS, a_finding, an_observed

TYPE = "CredentialAccess:Kubernetes/MaliciousIPCaller"


def plan_for(username: str, *groups: str) -> Plan:
    user = KubernetesUser(username=username, groups=(*groups, "system:authenticated"))
    return make_plan(a_finding(type=TYPE, user=user, workload=None), an_observed(pods=()), Policy())


def decisions(plan: Plan) -> dict[str, tuple[Gate | None, Verdict]]:
    return {s.action: (s.gate, s.decision) for s in plan.steps_of(Path.USER)}


def targets(plan: Plan, action: str) -> list[str]:
    return [t.name for s in plan.steps if s.action == action for t in s.targets]


def test_containment_of_an_identity_rests_on_cutting_it_off() -> None:
    for kind in (SubjectKind.IAM_USER, SubjectKind.IAM_ROLE, SubjectKind.CLUSTER_ADMIN, SubjectKind.OIDC_USER):
        user, key = USERS[kind]
        plan = make_plan(a_finding(type=TYPE, user=user, access_key=key, workload=None), an_observed(pods=()), Policy())
        assert [s.step for s in plan.steps_of(Path.USER) if s.proves] == ["user.cut_off"], kind


def test_an_oidc_user_its_groups_and_its_provider_wait_for_a_person() -> None:
    plan = plan_for("bob@example.com", "developers", "system:masters", "admins")
    found = decisions(plan)
    assert found["cut_off"] == (Gate.CONTAIN, Verdict.APPROVAL)
    assert found["cut_off_groups"] == (Gate.CONTAIN, Verdict.APPROVAL)
    assert found["disassociate_provider"] == (Gate.TERMINATE, Verdict.APPROVAL)
    assert targets(plan, "cut_off_groups") == ["admins", "developers"]
    assert any("hits everybody in admins and developers" in s.reason for s in plan.steps)


@pytest.mark.parametrize("username", ["arn:aws:iam::123456789012:user/alice", "bob@example.com"])
def test_groups_that_go_with_an_entry_and_the_cluster_s_own_have_no_step(username: str) -> None:
    groups = ("developers",) if username.startswith("arn") else ("system:masters",)
    assert "cut_off_groups" not in decisions(plan_for(username, *groups))


def test_a_name_that_only_the_cluster_can_place_may_need_its_groups_cut_off() -> None:
    assert targets(plan_for("jane", "developers"), "cut_off_groups") == ["developers"]


@pytest.mark.parametrize("kind", sorted(USERS))
def test_what_is_known_of_an_identity_is_collected_before_its_credentials_end(kind: SubjectKind) -> None:
    user, key = USERS[kind]
    plan = make_plan(a_finding(type=TYPE, user=user, access_key=key, workload=None), an_observed(pods=()), Policy())
    steps = [s.action for s in plan.steps_of(Path.USER)]
    if not steps:
        return
    (step,) = [s for s in plan.steps_of(Path.USER) if s.action == "collect"]
    assert (step.gate, step.decision, len(step.targets)) == (None, Verdict.AUTO, 1)
    before = {s.action for s in plan.steps_of(Path.USER) if s.gate is Gate.CONTAIN}
    assert before == set(steps[: steps.index("collect")]), "containment comes first, and nothing else"


def test_what_somebody_without_a_name_did_is_collected_on_the_path_of_configuration() -> None:
    user, _ = USERS[SubjectKind.ANONYMOUS]
    plan = make_plan(a_finding(type=TYPE, user=user, workload=None), an_observed(pods=()), Policy())
    steps = {s.step: s for s in plan.steps}
    assert set(steps) == {"configuration.unbind_anonymous", "configuration.collect"}
    assert [t.name for t in steps["configuration.collect"].targets] == ["system:anonymous"]
    assert (steps["configuration.collect"].gate, steps["configuration.collect"].decision) == (None, Verdict.AUTO)

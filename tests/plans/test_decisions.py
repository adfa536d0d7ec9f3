"""What turns `auto` into `approval`: each cause alone, above every rule, and said in the plan."""

from __future__ import annotations

from typing import Any

import pytest

from findings.model import Cluster, Finding, KubernetesUser
from findings.sequence import Sequence, SequenceActor
from findings.subject import Subject, SubjectKind
from findings.workload import WorkloadKind
from plans.causes import protected_subjects
from plans.model import Gate, Path, Plan, Step, Verdict
from plans.observed import Observed
from plans.planner import make_plan
from plans.policy import Policy, load_policy
from tests.plans.builders import (
    UNCONFIRMED,
    USER_TYPE,
    USERS,
    a_finding,
    a_pod,
    a_workload,
    an_observed,
)

OPEN = load_policy("rules: [{when: {gates: [contain, credentials, eradicate, terminate]}, set: {mode: auto}}]")
"""As loose as a policy can be: every gate by rule, so that the severity does not count either."""


def step(plan: Plan, name: str) -> Step:
    return next(s for s in plan.steps if s.step == name)


def quarantine(
    finding: Finding | None = None, observed: Observed | None = None, policy: Policy | None = None, **more: Any
) -> Step:
    plan = make_plan(finding or a_finding(), observed or an_observed(), policy or Policy(), **more)
    return step(plan, "pod.quarantine")


def test_a_confirmed_severe_finding_within_budget_is_contained_at_once() -> None:
    plan = make_plan(a_finding(), an_observed(), Policy())
    assert [(s.step, s.gate, s.decision) for s in plan.steps] == [
        ("pod.quarantine", Gate.CONTAIN, Verdict.AUTO),
        ("pod.collect", None, Verdict.AUTO),
        ("pod.redeploy", Gate.ERADICATE, Verdict.APPROVAL),
        ("pod.delete", Gate.ERADICATE, Verdict.APPROVAL),
    ]
    assert not plan.plan_only


CAUSES: dict[str, tuple[Finding, Observed, str]] = {
    "unconfirmed": (
        a_finding(),
        an_observed(provenance=UNCONFIRMED),
        "has not confirmed the finding: GetFindings does",
    ),
    "archived": (a_finding(archived=True), an_observed(), "archived"),
    "no cluster": (a_finding(cluster=None), an_observed(), "names no cluster"),
    "nameless cluster": (a_finding(cluster=Cluster()), an_observed(), "names no cluster"),
    "budget": (a_finding(), an_observed(budget_refusal="10 of 10 containments this hour."), "10 of 10 containments"),
    "uid": (a_finding(), an_observed(uid_mismatch=True), "another uid"),
    "vanished": (a_finding(), an_observed(vanished=True), "only proposed"),
    "unresolved pods": (a_finding(), an_observed(unresolved="Two Deployments share the pod."), "Two Deployments share"),
    "too many pods": (
        a_finding(),
        an_observed(pods=tuple(a_pod(i) for i in range(51))),
        "51 pods are more than the 50",
    ),
    "too many pods beyond the list": (a_finding(), an_observed(pod_count=51), "51 pods are more than the 50"),
    "protected namespace of a pod": (
        a_finding(),
        an_observed(pods=(a_pod(), a_pod(1, namespace="kube-system"))),
        "Protected: the namespace kube-system",
    ),
    "protected namespace in the finding": (
        a_finding(workload=a_workload(namespace="temporal")),
        an_observed(),
        "Protected: the namespace temporal",
    ),
    "default account": (
        a_finding(
            type=USER_TYPE,
            workload=None,
            user=USERS[SubjectKind.SERVICE_ACCOUNT][0].model_copy(  # type: ignore[union-attr]
                update={"username": "system:serviceaccount:shop:default"}
            ),
        ),
        an_observed(pods=(a_pod(service_account="default"),)),
        "`default` account",
    ),
    "unknown type": (a_finding(type="Impact:Kubernetes/New"), an_observed(), "is unknown to Firebreak"),
    "another service's type": (a_finding(type="Execution:EC2/MaliciousFile"), an_observed(), "something else than EKS"),
    "a setting": (a_finding(type="Policy:Kubernetes/ExposedDashboard"), an_observed(), "authorised"),
    "unknown workload kind": (a_finding(workload=a_workload(kind=WorkloadKind.UNKNOWN)), an_observed(), "what kind"),
}


@pytest.mark.parametrize("policy", [Policy(), OPEN], ids=["default", "every gate open"])
@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_alone_asks_a_person_whatever_the_policy_says(cause: str, policy: Policy) -> None:
    finding, observed, said = CAUSES[cause]
    plan = make_plan(finding, observed, policy)
    asked = step(plan, "pod.quarantine")
    assert asked.decision is Verdict.APPROVAL
    assert said in asked.reason
    terms = plan.terms(Gate.CONTAIN)
    assert terms is not None and terms.decision is Verdict.APPROVAL
    assert any(said in reason for reason in terms.reasons)
    assert not any(s.decision is Verdict.AUTO for s in plan.steps if s.gate is not None)


def test_all_causes_are_said_together_with_a_low_severity() -> None:
    reason = quarantine(
        a_finding(severity=3), an_observed(provenance=UNCONFIRMED, uid_mismatch=True, vanished=True)
    ).reason
    for said in ("Severity 3 is below 7", "has not confirmed", "another uid", "only proposed"):
        assert said in reason


def test_severity_below_seven_asks_and_a_rule_may_say_otherwise() -> None:
    assert quarantine(a_finding(severity=6.9)).decision is Verdict.APPROVAL
    rule = load_policy("rules: [{when: {gates: [contain], namespaces: [shop]}, set: {mode: auto}}]")
    assert quarantine(a_finding(severity=1.0), policy=rule).decision is Verdict.AUTO
    elsewhere = an_observed(pods=(a_pod(), a_pod(1, namespace="other")))
    assert quarantine(a_finding(severity=1.0), elsewhere, rule).decision is Verdict.APPROVAL


def test_provenance_can_be_waived_and_only_by_its_own_key() -> None:
    waived = load_policy("provenance: {required: false}")
    observed = an_observed(provenance=UNCONFIRMED)
    assert quarantine(observed=observed, policy=waived).decision is Verdict.AUTO
    assert quarantine(observed=observed, policy=OPEN).decision is Verdict.APPROVAL
    # That nobody confirmed it is said even where it does not count.
    assert any("not confirmed" in w for w in make_plan(a_finding(), observed, waived).warnings)


def test_the_number_of_pods_is_the_policys() -> None:
    fifty = an_observed(pods=tuple(a_pod(i) for i in range(50)))
    assert quarantine(observed=fifty).decision is Verdict.AUTO
    assert quarantine(observed=fifty, policy=load_policy("budget: {incident_pods: 49}")).decision is Verdict.APPROVAL
    many = an_observed(pod_count=5000)
    assert quarantine(observed=many, policy=load_policy("budget: {incident_pods: 5000}")).decision is Verdict.AUTO


def test_namespaces_and_principals_of_the_file_are_protected_too() -> None:
    assert quarantine(policy=load_policy("protected: {namespaces: ['sh*']}")).decision is Verdict.APPROVAL
    account = load_policy("protected: {principals: ['System:ServiceAccount:shop:web']}")
    asked = quarantine(policy=account)
    assert (asked.decision, "shop/web" in asked.reason) == (Verdict.APPROVAL, True)
    assert quarantine(policy=load_policy("protected: {namespaces: [sh]}")).decision is Verdict.AUTO


ACCOUNT = "system:serviceaccount:ops:deployer"
GUARDED = load_policy(f"protected: {{principals: ['{ACCOUNT}']}}")


@pytest.mark.parametrize(
    ("finding", "observed"),
    [
        (a_finding(), an_observed(pods=(a_pod(namespace="ops", service_account="deployer"),))),
        (a_finding(workload=a_workload(namespace="ops", service_account="deployer")), None),
        (a_finding(workload=None, type=USER_TYPE, user=KubernetesUser(username=ACCOUNT)), None),
    ],
    ids=["a pod runs as it", "the finding says that the workload does", "the pods are chosen by it"],
)
def test_cutting_off_a_pod_cuts_off_its_account(finding: Finding, observed: Observed | None) -> None:
    assert step(make_plan(finding, observed, Policy()), "pod.quarantine").decision is Verdict.AUTO
    asked = step(make_plan(finding, observed, GUARDED), "pod.quarantine")
    assert (asked.decision, "ops/deployer" in asked.reason) == (Verdict.APPROVAL, True)


def test_the_namespace_of_an_account_is_protected_like_its_pods() -> None:
    finding = a_finding(workload=None, type=USER_TYPE, user=KubernetesUser(username=ACCOUNT))
    policy = load_policy(
        "protected: {namespaces: [ops]}\n"
        "rules: [{when: {gates: [contain, credentials, eradicate, terminate]}, set: {mode: auto}}]"
    )
    for observed in (None, an_observed(pods=())):
        plan = make_plan(finding, observed, policy, unbuilt=frozenset())
        changing = [s for s in plan.steps if s.gate is not None and s.decision is not Verdict.NEVER]
        assert changing and all(s.decision is Verdict.APPROVAL for s in changing)
        assert all("Protected: the namespace ops." in s.reason for s in changing)


@pytest.mark.parametrize(
    "when",
    [
        "accounts: ['111122223333']",
        "clusters: [payments]",
        "finding_types: ['Execution:Runtime/*']",
        "severity_below: 9",
    ],
)
def test_rules_see_the_finding(when: str) -> None:
    rule = load_policy(f"rules: [{{when: {{{when}}}, set: {{mode: never}}}}]")
    assert quarantine(policy=rule).decision is Verdict.NEVER


def test_the_default_account_counts_only_when_the_pods_were_chosen_through_it() -> None:
    # Most pods run as `default`; a finding that names one of them names it well enough.
    named = quarantine(
        a_finding(workload=a_workload(service_account="default")),
        an_observed(pods=(a_pod(service_account="default"),)),
    )
    assert named.decision is Verdict.AUTO
    by_default = KubernetesUser(username="system:serviceaccount:shop:default")
    assert quarantine(a_finding(type=USER_TYPE, user=by_default)).decision is Verdict.AUTO
    by_another = a_finding(type=USER_TYPE, workload=None, user=USERS[SubjectKind.SERVICE_ACCOUNT][0])
    assert quarantine(by_another).decision is Verdict.AUTO


def test_never_stays_never_and_an_approval_does_not_become_auto() -> None:
    closed = load_policy("gates: {contain: {mode: never}}")
    assert quarantine(observed=an_observed(provenance=UNCONFIRMED), policy=closed).decision is Verdict.NEVER
    rule = load_policy("rules: [{when: {namespaces: [shop]}, set: {mode: never}}]")
    plan = make_plan(a_finding(), an_observed(), rule)
    assert plan.plan_only and plan.gates == ()


def test_a_redeployment_never_opens_by_itself_because_it_needs_an_image() -> None:
    waiting = step(make_plan(a_finding(), an_observed(), Policy()), "pod.redeploy").reason
    assert waiting.startswith("The gate eradicate waits for approval") and "by its digest" in waiting
    plan = make_plan(a_finding(), an_observed(), OPEN)
    assert step(plan, "pod.redeploy").decision is Verdict.APPROVAL
    assert "by its digest" in step(plan, "pod.redeploy").reason
    assert step(plan, "pod.delete").decision is Verdict.AUTO
    # One gate opens both, so it waits.
    terms = plan.terms(Gate.ERADICATE)
    assert terms is not None and terms.decision is Verdict.APPROVAL
    assert all("digest" in reason for reason in terms.reasons)


def test_a_gate_takes_the_strictest_terms_of_its_steps() -> None:
    rules = "rules: [{when: {gates: [eradicate], namespaces: [shop]}, set: {approvals: 2, deadline: 1h}}]"
    terms = make_plan(a_finding(), an_observed(), load_policy(rules)).terms(Gate.ERADICATE)
    assert terms is not None
    assert (terms.approvals, terms.deadline_seconds) == (2, 3600)
    # Of the two steps behind `contain`, only the pods are in a namespace.
    user, key = USERS[SubjectKind.IAM_USER]
    both = load_policy("rules: [{when: {namespaces: [shop]}, set: {approvals: 2, deadline: 1h}}]")
    terms = make_plan(a_finding(user=user, access_key=key), an_observed(), both, unbuilt=frozenset()).terms(
        Gate.CONTAIN
    )
    assert terms is not None
    assert (terms.approvals, terms.deadline_seconds, terms.decision) == (2, 3600, Verdict.AUTO)


def test_gates_stand_in_the_order_in_which_they_are_passed() -> None:
    user, key = USERS[SubjectKind.IAM_USER]
    plan = make_plan(a_finding(user=user, access_key=key), an_observed(), Policy(), unbuilt=frozenset())
    assert [t.gate for t in plan.gates] == list(Gate)
    assert all(t.approvals == 1 and t.deadline_seconds == 86_400 for t in plan.gates)


def unbuilt(*steps: str) -> frozenset[str]:
    """What a Firebreak of before these steps would not have carried out."""
    return frozenset(steps)


def test_a_step_that_is_not_built_is_shown_and_never_done() -> None:
    user, key = USERS[SubjectKind.IAM_USER]
    plan = make_plan(a_finding(user=user, access_key=key), an_observed(), OPEN, unbuilt=unbuilt("user.cut_off"))
    missing = step(plan, "user.cut_off")
    assert (missing.decision, missing.reason) == (Verdict.NEVER, "Firebreak cannot carry out this step yet.")
    # What is built is done all the same, on the same path too.
    assert step(plan, "user.deactivate_key").decision is Verdict.AUTO
    assert step(plan, "pod.quarantine").decision is Verdict.AUTO
    everything = make_plan(a_finding(user=user, access_key=key), an_observed(), OPEN, unbuilt=frozenset())
    # Nobody approves what is not done.
    assert plan.terms(Gate.CONTAIN) != everything.terms(Gate.CONTAIN)


def test_a_plan_of_unbuilt_steps_alone_is_plan_only() -> None:
    user, key = USERS[SubjectKind.IAM_USER]
    finding = a_finding(type=USER_TYPE, user=user, access_key=key, workload=None)
    built = make_plan(finding, an_observed(pods=()), Policy(), unbuilt=frozenset())
    assert not built.plan_only
    plan = make_plan(finding, an_observed(pods=()), Policy(), unbuilt=unbuilt(*(s.step for s in built.steps)))
    assert plan.plan_only and plan.gates == ()


def test_triage_alone_is_plan_only_and_says_why() -> None:
    plan = make_plan(a_finding(type="Foo", workload=None), an_observed(pods=()), Policy())
    assert (plan.paths, plan.plan_only, plan.gates) == ((Path.TRIAGE,), True, ())
    assert "unknown to Firebreak" in step(plan, "triage.review").reason


def test_samples_are_planned_and_not_acted_on_unless_asked() -> None:
    sample = make_plan(a_finding(sample=True), an_observed(), Policy())
    assert sample.plan_only
    assert "This is a sample finding: nothing is carried out." in sample.warnings
    assert step(sample, "pod.quarantine").decision is Verdict.AUTO
    asked = make_plan(a_finding(sample=True), an_observed(), Policy(), act_on_sample=True)
    assert not asked.plan_only
    assert not any("sample" in w for w in asked.warnings)


# ---- The user path, which later parts build: its protections hold from the first day.

PROTECTED_USERS = {
    "cluster admin": ({"username": "kubernetes-admin"}, None, "may be its last"),
    "masters": ({"username": "alice@example.com", "groups": ("system:masters",)}, None, "may be its last"),
    "sso": ({"username": "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_1/x"}, None, "the principal"),
    "break glass": ({"username": "arn:aws:iam::111122223333:role/ops/Break-Glass"}, None, "the principal"),
    "ours": ({"username": "arn:aws:iam::111122223333:role/firebreak-worker"}, None, "the principal"),
    "root": ({"username": "arn:aws:iam::111122223333:root"}, None, "the principal"),
    "node role": ({"username": "arn:aws:iam::111122223333:role/n", "groups": ("system:nodes",)}, None, "the nodes"),
    "unresolved": ({"username": "carol"}, None, "what kind of identity"),
    "default account": ({"username": "system:serviceaccount:shop:default"}, None, "account of every pod"),
    "account of a protected namespace": ({"username": "system:serviceaccount:temporal:x"}, None, "Protected"),
}


@pytest.mark.parametrize("who", PROTECTED_USERS)
def test_protected_identities_are_never_acted_on_unasked(who: str) -> None:
    fields, key, said = PROTECTED_USERS[who]
    finding = a_finding(type=USER_TYPE, user=KubernetesUser.model_validate(fields), access_key=key, workload=None)
    plan = make_plan(finding, an_observed(pods=()), OPEN, unbuilt=frozenset())
    mine = plan.steps_of(Path.USER)
    assert mine and not any(s.decision is Verdict.AUTO for s in mine if s.gate is not None)
    assert any(said in s.reason for s in mine)


def test_an_ordinary_identity_is_cut_off_at_once() -> None:
    user, key = USERS[SubjectKind.IAM_USER]
    finding = a_finding(type=USER_TYPE, user=user, access_key=key, workload=None)
    plan = make_plan(finding, an_observed(pods=()), Policy(), unbuilt=frozenset())
    decisions = {s.action: (s.gate, s.decision) for s in plan.steps}
    assert (
        decisions.items()
        >= {
            "cut_off": (Gate.CONTAIN, Verdict.AUTO),
            "deactivate_key": (Gate.CONTAIN, Verdict.AUTO),
            "revoke_sessions": (Gate.CREDENTIALS, Verdict.APPROVAL),
            "rotate_secrets": (Gate.CREDENTIALS, Verdict.APPROVAL),
            "investigate": (Gate.ERADICATE, Verdict.APPROVAL),
            "delete_key": (Gate.TERMINATE, Verdict.APPROVAL),
        }.items()
    )
    over = make_plan(finding, an_observed(pods=(), budget_refusal="spent"), Policy(), unbuilt=frozenset())
    assert step(over, "user.cut_off").decision is Verdict.APPROVAL


@pytest.mark.parametrize("kind", [SubjectKind.SYSTEM, SubjectKind.NODE, SubjectKind.ANONYMOUS])
def test_the_clusters_own_identities_are_in_no_step_of_the_user_path(kind: SubjectKind) -> None:
    user, key = USERS[kind]
    plan = make_plan(a_finding(type=USER_TYPE, user=user, access_key=key), an_observed(), OPEN, unbuilt=frozenset())
    assert plan.steps_of(Path.USER) == ()


def test_root_is_known_by_its_type_too() -> None:
    assert protected_subjects(Policy(), [Subject(kind=SubjectKind.IAM_USER, name="x", user_type="Root")])
    assert not protected_subjects(Policy(), [Subject(kind=SubjectKind.IAM_USER, name="x", user_type="IAMUser")])


def test_one_certain_identity_does_not_make_another_certain() -> None:
    actors = (
        SequenceActor(id="1", user_name="alice", user_type="IAMUser", credential_uid="AKIAEXAMPLE"),
        SequenceActor(id="2", user_name="carol"),
    )
    finding = a_finding(
        type="AttackSequence:EKS/CompromisedCluster", workload=None, sequence=Sequence(uid="s", actors=actors)
    )
    plan = make_plan(finding, an_observed(pods=()), OPEN, unbuilt=frozenset())
    cut_off = step(plan, "user.cut_off")
    assert [t.name for t in cut_off.targets] == ["alice", "carol"]
    assert (cut_off.decision, "carol" in cut_off.reason) == (Verdict.APPROVAL, True)
    # The key belongs to alice alone, so what is unknown about carol does not hold it up.
    assert step(plan, "user.deactivate_key").decision is Verdict.AUTO


def test_a_cause_is_said_once() -> None:
    finding = a_finding(type=USER_TYPE, user=KubernetesUser(username="carol"), workload=None)
    reason = step(make_plan(finding, an_observed(pods=()), OPEN, unbuilt=frozenset()), "user.cut_off").reason
    assert reason.count("what kind of identity carol is") == 1


def test_an_unbuilt_step_is_said_before_what_else_is_missing() -> None:
    finding = a_finding(workload=a_workload(host_network=True))
    plan = make_plan(finding, None, Policy(), unbuilt=unbuilt("node.cordon"))
    assert step(plan, "node.cordon").reason == "Firebreak cannot carry out this step yet."
    built = step(make_plan(finding, None, Policy(), unbuilt=frozenset()), "node.cordon")
    assert (built.decision, "node is not known" in built.reason) == (Verdict.NEVER, True)


def test_more_nodes_than_allowed_ask_a_person() -> None:
    def cordon(count: int) -> Step:
        pods = tuple(a_pod(i, node=f"node-{i}", host_network=True) for i in range(count))
        return step(make_plan(a_finding(), an_observed(pods=pods), OPEN, unbuilt=frozenset()), "node.cordon")

    assert cordon(3).decision is Verdict.AUTO
    held = an_observed(pods=(a_pod(host_network=True, namespace="temporal"),))
    assert step(make_plan(a_finding(), held, OPEN, unbuilt=frozenset()), "node.cordon").decision is Verdict.APPROVAL
    assert cordon(4).decision is Verdict.APPROVAL
    assert "4 nodes are more than the 3" in cordon(4).reason


def test_the_image_path_never_opens_by_itself_before_its_pods_are_counted() -> None:
    plan = make_plan(a_finding(type="Impact:Runtime/CryptoMinerExecuted"), an_observed(), OPEN, unbuilt=frozenset())
    mine = plan.steps_of(Path.IMAGE)
    waiting = [s for s in mine if s.gate is not None and s.action != "deny_repository"]
    assert waiting and all(s.decision is Verdict.APPROVAL for s in waiting)
    assert [t.name for t in mine[0].targets] == ["nginx@sha256:aa"]
    observed = an_observed(pods=(a_pod(namespace="temporal"),))
    plan = make_plan(a_finding(type="Impact:Runtime/CryptoMinerExecuted"), observed, OPEN, unbuilt=frozenset())
    assert "Protected: the namespace temporal." in step(plan, "image.block").reason


def test_offline_shows_what_would_be_decided_and_says_what_was_not_checked() -> None:
    plan = make_plan(a_finding(), None, Policy())
    assert step(plan, "pod.quarantine").decision is Verdict.AUTO
    assert any("provenance, budget and cluster state were not checked" in w for w in plan.warnings)
    for finding in (
        a_finding(severity=3),
        a_finding(workload=a_workload(namespace="kube-system")),
        a_finding(type="X"),
    ):
        assert step(make_plan(finding, None, Policy()), "pod.quarantine").decision is Verdict.APPROVAL
    online = make_plan(a_finding(), an_observed(), Policy())
    assert not any("Offline" in w for w in online.warnings)


def test_planning_twice_gives_the_same_plan() -> None:
    pods = (a_pod(2), a_pod(0), a_pod(1, host_network=True))
    one = make_plan(a_finding(), an_observed(pods=pods), Policy())
    assert one == make_plan(a_finding(), an_observed(pods=pods[::-1]), Policy())
    assert Plan.model_validate_json(one.model_dump_json()) == one

"""What holds of every plan, whatever the finding, the cluster and the policy."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from contracts.steps import VERBS
from findings.catalogue import entries, lookup
from findings.model import AccessKey, Cluster, Container, Finding, ImpersonatedUser, KubernetesUser, Volume, VolumeMount
from findings.sequence import Sequence, SequenceActor, SequenceResource, SequenceSignal
from findings.subject import SubjectKind, subjects_of
from findings.workload import Workload, WorkloadKind
from plans.digest import gate_digest
from plans.document import plan_document
from plans.model import Gate, Path, Plan, ResourceRef, TargetKind, Verdict
from plans.observed import ClusterFacts, ContainerFacts, Observed, PodFacts, PolicyFacts, Provenance, WorkloadFacts
from plans.planner import UNBUILT_STEPS, make_plan
from plans.policy import (
    Budget,
    ContainDefaults,
    GateDefaults,
    Gates,
    Policy,
    Protected,
    ProvenanceTerms,
    Rule,
    Setting,
    When,
)

NAMESPACES = ("shop", "kube-system", "temporal", "firebreak", "amazon-guardduty", "ci-1", "default")
TYPES = (*(e.type for e in entries()), "Impact:Kubernetes/New", "foo", "Policy:IAMUser/RootCredentialUsage")
USERNAMES = (
    "", "system:anonymous", "system:serviceaccount:shop:web", "system:serviceaccount:shop:default",
    "system:serviceaccount:kube-system:x", "system:node:node-a", "system:kube-scheduler", "eks:node-manager",
    "kubernetes-admin", "alice", "bob@example.com", "arn:aws:iam::111122223333:root",
    "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_A/x", "arn:aws:iam::111122223333:role/firebreak",
    "system:serviceaccount:../x",
)  # fmt: skip
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.sampled_from(("web", "web-0", "default")) | ANY_TEXT
SPACES = st.sampled_from(NAMESPACES) | ANY_TEXT
SEVERITIES = st.sampled_from((0.0, 3.9, 6.9, 7.0, 8.0, 10.0)) | st.floats(0, 10)

containers = st.builds(
    Container,
    name=NAMES,
    image=NAMES,
    privileged=st.sampled_from((None, True, False)),
    volume_mounts=st.tuples(st.builds(VolumeMount, name=st.just("v"))) | st.just(()),
)
workloads = st.builds(
    Workload,
    name=NAMES,
    kind=st.sampled_from(WorkloadKind),
    uid=st.sampled_from(("", "p-0")),
    namespace=SPACES,
    service_account=NAMES,
    host_network=st.booleans(),
    containers=st.lists(containers, max_size=2).map(tuple),
    volumes=st.tuples(st.builds(Volume, name=st.just("v"), host_path=st.sampled_from(("/", "/data")))) | st.just(()),
)
users = st.builds(
    KubernetesUser,
    username=st.sampled_from(USERNAMES) | ANY_TEXT,
    groups=st.sampled_from(((), ("system:masters",), ("system:nodes",), ("system:unauthenticated",))),
    impersonated=st.none() | st.builds(ImpersonatedUser, username=st.sampled_from(USERNAMES)),
)
keys = st.builds(
    AccessKey,
    access_key_id=st.sampled_from(("", "AKIAEXAMPLE", "ASIAEXAMPLE")),
    user_name=st.sampled_from(("", "alice", "AWSReservedSSO_A", "break-glass")),
    user_type=st.sampled_from(("", "IAMUser", "AssumedRole", "Root", "AWSService", "AWSAccount")),
)
sequences = st.builds(
    Sequence,
    uid=st.just("s"),
    actors=st.lists(st.builds(SequenceActor, id=NAMES, user_name=st.sampled_from(USERNAMES)), max_size=2).map(tuple),
    resources=st.lists(
        st.builds(
            SequenceResource,
            uid=NAMES,
            type=st.sampled_from(("KUBERNETES_WORKLOAD", "CONTAINER", "ACCESS_KEY")),
            name=NAMES,
            namespace=SPACES,
            kind=st.sampled_from(WorkloadKind),
        ),
        max_size=3,
    ).map(tuple),
    signals=st.lists(st.builds(SequenceSignal, uid=NAMES, name=st.sampled_from(TYPES)), max_size=2).map(tuple),
)
findings = st.builds(
    Finding,
    id=st.just("f-1"),
    type=st.sampled_from(TYPES),
    severity=SEVERITIES,
    account=st.just("111122223333"),
    region=st.just("eu-central-1"),
    archived=st.booleans(),
    sample=st.booleans(),
    cluster=st.none() | st.builds(Cluster, name=NAMES),
    user=st.none() | users,
    workload=st.none() | workloads,
    access_key=st.none() | keys,
    instance_id=st.sampled_from(("", "i-1")),
    containers=st.lists(containers, max_size=1).map(tuple),
    sequence=st.none() | sequences,
)
refs = st.builds(
    ResourceRef, kind=st.sampled_from(("Deployment", "Job", "Node", "X")), name=NAMES, namespace=SPACES, uid=NAMES
)
pods = st.builds(
    PodFacts,
    namespace=SPACES,
    name=NAMES,
    uid=st.uuids().map(str),
    node=st.sampled_from(("", "node-a", "node-b")),
    service_account=NAMES,
    owner=st.none() | refs,
    workload=st.none() | refs,
    containers=st.lists(st.builds(ContainerFacts, name=NAMES, privileged=st.booleans()), max_size=2).map(tuple),
    host_network=st.booleans(),
    static=st.booleans(),
    fargate=st.booleans(),
    windows=st.booleans(),
    terminating=st.booleans(),
    holders=st.sampled_from(((), ("gd/1",))),
)
observations = st.builds(
    Observed,
    provenance=st.builds(Provenance, confirmed=st.booleans(), reason=ANY_TEXT),
    cluster=st.builds(ClusterFacts, enforces_policies=st.sampled_from((None, True, False)), cni=ANY_TEXT),
    pods=st.lists(pods, max_size=4).map(tuple),
    pod_count=st.sampled_from((0, 1, 51, 5000)),
    uid_mismatch=st.booleans(),
    vanished=st.booleans(),
    unresolved=st.just("") | ANY_TEXT,
    workloads=st.lists(st.builds(WorkloadFacts, ref=refs, paused=st.booleans()), max_size=2).map(tuple),
    policies=st.lists(st.builds(PolicyFacts, ref=refs, managed_by=ANY_TEXT), max_size=1).map(tuple),
    terminating_namespaces=st.lists(SPACES, max_size=1).map(tuple),
    shared=st.lists(ANY_TEXT, max_size=1).map(tuple),
    budget_refusal=st.sampled_from(("", "spent")),
)
modes = st.sampled_from(Verdict)
gate_terms = st.builds(GateDefaults, mode=modes, approvals=st.sampled_from((1, 2)), auto_from_severity=SEVERITIES)
rules = st.builds(
    Rule,
    when=st.builds(
        When,
        gates=st.lists(st.sampled_from(Gate), min_size=1, max_size=4).map(tuple),
        severity_at_least=st.none() | SEVERITIES,
        namespaces=st.sampled_from((None, ("*",), ("shop",), ("kube-*", "ci-?"))),
        clusters=st.sampled_from((None, ("*",))),
    ),
    set=st.builds(Setting, mode=modes, approvals=st.sampled_from((None, 2)), deadline=st.sampled_from((None, 60))),
    reason=ANY_TEXT,
)
policies = st.builds(
    Policy,
    gates=st.builds(
        Gates,
        contain=st.builds(ContainDefaults, mode=modes, auto_from_severity=SEVERITIES),
        credentials=gate_terms,
        eradicate=gate_terms,
        terminate=gate_terms,
    ),
    rules=st.lists(rules, max_size=3).map(tuple),
    budget=st.builds(Budget, incident_pods=st.sampled_from((0, 50, 10_000)), incident_nodes=st.sampled_from((0, 3))),
    provenance=st.builds(ProvenanceTerms, required=st.booleans()),
    protected=st.builds(Protected, namespaces=st.sampled_from(((), ("ci-*",)))),
)
UNBUILT = st.sampled_from((UNBUILT_STEPS, frozenset[str](), frozenset(VERBS)))
CALM = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


def acted(plan: Plan) -> list[str]:
    """The steps that change something without asking anybody."""
    return [s.step for s in plan.steps if s.gate is not None and s.decision is Verdict.AUTO]


@CALM
@given(findings, st.none() | observations, policies, UNBUILT, st.booleans())
def test_a_plan_always_comes_out_and_holds_together(
    finding: Finding, observed: Observed | None, policy: Policy, unbuilt: frozenset[str], act_on_sample: bool
) -> None:
    plan = make_plan(finding, observed, policy, unbuilt=unbuilt, act_on_sample=act_on_sample)
    assert plan.paths and plan.steps
    assert {s.path for s in plan.steps} == set(plan.paths)
    assert len({s.step for s in plan.steps}) == len(plan.steps)
    for step in plan.steps:
        assert step.step == f"{step.path.value}.{step.action}"
        assert step.reason and step.undo and step.reason.isprintable()
        assert step.target_count >= len(step.targets)
        assert step.gate is not None or step.decision is not Verdict.APPROVAL
        assert step.step not in unbuilt or step.decision is Verdict.NEVER
    possible = {s.gate for s in plan.steps if s.gate is not None and s.decision is not Verdict.NEVER}
    assert {t.gate for t in plan.gates} == possible
    for terms in plan.gates:
        guarded = [s for s in plan.steps if s.gate is terms.gate and s.decision is not Verdict.NEVER]
        waits = any(s.decision is Verdict.APPROVAL for s in guarded)
        assert terms.decision is (Verdict.APPROVAL if waits else Verdict.AUTO)
        assert terms.digest == gate_digest(plan.steps, terms.gate)
        assert terms.approvals in (1, 2) and terms.reasons
    assert plan.plan_only is (not possible or (finding.sample and not act_on_sample))
    assert all(w.isprintable() for w in plan.warnings)
    assert plan_document(plan)["paths"] == [p.value for p in plan.paths]
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


@CALM
@given(findings, observations, policies, UNBUILT)
def test_nothing_unconfirmed_or_over_budget_is_acted_on(
    finding: Finding, observed: Observed, policy: Policy, unbuilt: frozenset[str]
) -> None:
    plan = make_plan(finding, observed, policy, unbuilt=unbuilt, act_on_sample=True)
    unconfirmed = policy.provenance.required and (not observed.provenance.confirmed or finding.archived)
    if unconfirmed or observed.budget_refusal or finding.cluster is None or not finding.cluster.name:
        assert acted(plan) == []
    entry = lookup(finding.type)
    if entry is None or not entry.in_scope:
        assert acted(plan) == []
    wrong = observed.uid_mismatch or observed.vanished or observed.unresolved
    if wrong or max(len(observed.pods), observed.pod_count) > policy.budget.incident_pods:
        assert not [s for s in acted(plan) if s.startswith("pod.")]


@CALM
@given(findings, st.none() | observations, policies, UNBUILT)
def test_nothing_protected_is_touched_unasked(
    finding: Finding, observed: Observed | None, policy: Policy, unbuilt: frozenset[str]
) -> None:
    plan = make_plan(finding, observed, policy, unbuilt=unbuilt, act_on_sample=True)
    for step in plan.steps:
        if step.gate is None or step.decision is not Verdict.AUTO:
            continue
        for target in step.targets:
            assert not any(fnmatchcase(target.namespace, glob) for glob in policy.protected.namespaces)
            if target.kind in (TargetKind.SERVICE_ACCOUNT, TargetKind.SUBJECT):
                name = target.name.lower()
                assert not name.startswith(("awsreservedsso_", "firebreak", "system:", "eks:", "break-glass"))
                assert name not in ("root", "default", "kubernetes-admin")
    own = {SubjectKind.SYSTEM, SubjectKind.NODE, SubjectKind.ANONYMOUS, SubjectKind.NONE}
    if all(subject.kind in own for subject in subjects_of(finding)):
        assert plan.steps_of(Path.USER) == ()


@CALM
@given(findings, st.none() | observations, policies)
def test_a_redeployment_always_asks_for_its_image(finding: Finding, observed: Observed | None, policy: Policy) -> None:
    plan = make_plan(finding, observed, policy)
    for step in plan.steps:
        if step.action == "redeploy" and step.decision is not Verdict.NEVER:
            assert step.decision is Verdict.APPROVAL
            assert "by its digest" in step.reason


@CALM
@given(findings, observations, policies)
def test_a_confirmed_finding_differs_from_an_unconfirmed_one_only_in_being_stricter(
    finding: Finding, observed: Observed, policy: Policy
) -> None:
    def plan(confirmed: bool) -> Plan:
        provenance = Provenance(confirmed=confirmed, reason="x")
        return make_plan(finding, observed.model_copy(update={"provenance": provenance}), policy)

    sure, unsure = plan(True), plan(False)
    assume(sure.steps)
    assert [(s.step, s.targets, s.undo) for s in sure.steps] == [(s.step, s.targets, s.undo) for s in unsure.steps]
    assert [t.digest for t in sure.gates] == [t.digest for t in unsure.gates]
    assert set(acted(unsure)) <= set(acted(sure))

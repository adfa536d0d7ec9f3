"""Which paths a finding opens: every type of the catalogue with every kind of subject, and the evidence above both."""

from __future__ import annotations

import itertools

import pytest

from findings.catalogue import CatalogueEntry, entries, lookup
from findings.model import Container, Finding, Role, Workload
from findings.sequence import Sequence, SequenceActor, SequenceResource, SequenceSignal
from findings.subject import SubjectKind, subject_of
from findings.workload import WorkloadKind
from plans.model import Path
from plans.observed import ContainerFacts
from plans.planner import make_plan
from plans.policy import Policy
from plans.routing import named_workloads, routes_of
from tests.plans.builders import (
    MOUNTING,
    POD_TYPE,
    PRIVILEGED,
    USER_TYPE,
    USERS,
    a_finding,
    a_pod,
    a_workload,
    an_observed,
)

BY_SUBJECT: dict[SubjectKind, set[Path]] = {
    SubjectKind.SERVICE_ACCOUNT: {Path.USER, Path.POD},
    SubjectKind.IAM_USER: {Path.USER},
    SubjectKind.IAM_ROLE: {Path.USER},
    SubjectKind.CLUSTER_ADMIN: {Path.USER},
    SubjectKind.OIDC_USER: {Path.USER},
    SubjectKind.UNRESOLVED: {Path.USER},
    SubjectKind.NODE: {Path.NODE},
    SubjectKind.ANONYMOUS: {Path.CONFIGURATION},
    SubjectKind.SYSTEM: set(),
    SubjectKind.NONE: set(),
}
UNKNOWN_TYPE = "Execution:Kubernetes/SomethingNew"


def about(kind: SubjectKind, type_: str, workload: Workload | None) -> Finding:
    user, key = USERS[kind]
    finding = a_finding(type=type_, user=user, access_key=key, workload=workload)
    assert subject_of(finding).kind is kind
    return finding


def opened(finding: Finding) -> set[Path]:
    routes = routes_of(finding)
    assert [r.path for r in routes] == sorted({r.path for r in routes}, key=list(Path).index)
    assert all(r.reason.endswith(".") for r in routes)
    return {r.path for r in routes}


WORKLOADS: dict[str, tuple[Workload | None, set[Path]]] = {
    "no workload": (None, set()),
    "plain pod": (a_workload(), {Path.POD}),
    "privileged pod": (PRIVILEGED, {Path.POD, Path.NODE}),
}


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("kind", SubjectKind)
@pytest.mark.parametrize("entry", entries(), ids=[e.type for e in entries()])
def test_every_type_with_every_subject(entry: CatalogueEntry, kind: SubjectKind, workload: str) -> None:
    given, by_workload = WORKLOADS[workload]
    paths = opened(about(kind, entry.type, given))
    evident = BY_SUBJECT[kind] | by_workload
    has_pods = Path.POD in evident
    by_type = set()
    if entry.in_scope and entry.type != "AttackSequence:EKS/CompromisedCluster":
        by_type |= {Path.CONFIGURATION} & set(map(Path, entry.paths))
        by_type |= {Path.IMAGE} & set(map(Path, entry.paths)) if given is not None else set()
        by_type |= {Path.NODE} & set(map(Path, (*entry.paths, *entry.conditional))) if has_pods else set()
    elif entry.in_scope:
        by_type |= {Path.IMAGE} if given is not None else set()
        by_type |= {Path.NODE} if has_pods else set()
    else:
        by_type |= {Path.TRIAGE}
    assert paths == (evident | by_type or {Path.TRIAGE})


@pytest.mark.parametrize("kind", SubjectKind)
def test_an_unknown_type_is_triaged_and_its_evidence_is_never_acted_on_unasked(kind: SubjectKind) -> None:
    assert lookup(UNKNOWN_TYPE) is None
    finding = about(kind, UNKNOWN_TYPE, PRIVILEGED)
    routes = routes_of(finding)
    assert {r.path for r in routes} == BY_SUBJECT[kind] | {Path.POD, Path.NODE, Path.TRIAGE}
    assert all("unknown to Firebreak" in r.doubt for r in routes if r.path is not Path.TRIAGE)


def test_an_unknown_type_without_evidence_is_triage_alone() -> None:
    assert opened(a_finding(type=UNKNOWN_TYPE, workload=None)) == {Path.TRIAGE}


def test_a_type_of_another_service_is_triaged_and_says_so() -> None:
    (route,) = routes_of(a_finding(type="AttackSequence:ECS/CompromisedCluster", workload=None))
    assert route.path is Path.TRIAGE
    assert "something else than EKS" in route.reason


@pytest.mark.parametrize(
    ("workload", "word"),
    [
        (PRIVILEGED, "privileged"),
        (MOUNTING, "mounts /etc"),
        (a_workload(host_network=True), "shares a namespace"),
        (a_workload(host_pid=True), "shares a namespace"),
        (a_workload(host_ipc=True), "shares a namespace"),
    ],
)
def test_reaching_the_host_opens_the_node_path_whatever_the_type(workload: Workload, word: str) -> None:
    for type_ in (POD_TYPE, USER_TYPE, "Discovery:Kubernetes/SuccessfulAnonymousAccess"):
        route = next(r for r in routes_of(a_finding(type=type_, workload=workload)) if r.path is Path.NODE)
        assert word in route.reason
        assert route.doubt == ""


def test_a_plain_pod_does_not_open_the_node_path() -> None:
    assert opened(a_finding()) == {Path.POD}
    assert opened(a_finding(workload=a_workload(containers=(Container(name="a", privileged=False),)))) == {Path.POD}


def test_a_privileged_container_that_only_the_process_part_shows() -> None:
    finding = a_finding(containers=(Container(name="a", image="x", privileged=True),))
    assert Path.NODE in opened(finding)


@pytest.mark.parametrize(
    "pod", [a_pod(host_network=True), a_pod(containers=(ContainerFacts(name="a", privileged=True),))]
)
def test_the_cluster_may_show_more_than_the_finding(pod: object) -> None:
    observed = an_observed(pods=(pod,))
    assert Path.NODE in {r.path for r in routes_of(a_finding(), observed)}
    assert Path.NODE not in {r.path for r in routes_of(a_finding(), an_observed())}


def test_a_sensitive_mount_type_without_the_mount_is_in_doubt() -> None:
    type_ = "Persistence:Kubernetes/AnomalousBehavior.WorkloadDeployed!ContainerWithSensitiveMount"
    shown = next(r for r in routes_of(a_finding(type=type_, workload=MOUNTING)) if r.path is Path.NODE)
    unshown = next(r for r in routes_of(a_finding(type=type_)) if r.path is Path.NODE)
    assert (shown.doubt, unshown.doubt != "") == ("", True)


def test_former_names_open_the_same_paths() -> None:
    for entry in entries():
        for alias in entry.aliases:
            assert opened(a_finding(type=alias)) == opened(a_finding(type=entry.type))


@pytest.mark.parametrize("kind", [SubjectKind.IAM_USER, SubjectKind.SERVICE_ACCOUNT])
def test_who_changed_a_setting_is_not_acted_on_unasked(kind: SubjectKind) -> None:
    routes = routes_of(about(kind, "Policy:Kubernetes/AnonymousAccessGranted", a_workload()))
    doubts = {r.path: r.doubt for r in routes}
    assert doubts[Path.CONFIGURATION] == ""
    assert "authorised" in doubts[Path.USER]
    assert "authorised" in doubts[Path.POD]


def test_a_retired_ec2_like_runtime_finding() -> None:
    on_a_node = a_finding(workload=None, instance_id="i-0abc")
    (route,) = routes_of(on_a_node)
    assert (route.path, "i-0abc" in route.doubt) == (Path.NODE, True)
    assert opened(a_finding(workload=None, instance_id="i-0abc", cluster=None)) == {Path.TRIAGE}
    assert opened(a_finding(instance_id="i-0abc")) == {Path.POD}


def test_an_attack_sequence_opens_what_its_parts_show() -> None:
    sequence = Sequence(
        uid="s-1",
        actors=(SequenceActor(id="a-1", user_name="system:serviceaccount:shop:web"),),
        resources=(
            SequenceResource(
                uid="r-1", type="KUBERNETES_WORKLOAD", name="web", namespace="shop", kind=WorkloadKind.DEPLOYMENT
            ),
            SequenceResource(uid="r-2", type="CONTAINER", image="nginx:1.27"),
        ),
        signals=(SequenceSignal(uid="f-9", type="FINDING", name="Policy:Kubernetes/AnonymousAccessGranted"),),
    )
    finding = a_finding(type="AttackSequence:EKS/CompromisedCluster", severity=9.0, workload=None, sequence=sequence)
    assert opened(finding) == {Path.USER, Path.POD, Path.IMAGE, Path.NODE, Path.CONFIGURATION}
    doubts = {r.path: r.doubt for r in routes_of(finding)}
    assert doubts[Path.NODE] and not doubts[Path.POD] and not doubts[Path.CONFIGURATION]
    (workload,) = named_workloads(finding)
    # GuardDuty's own uid of a resource must never pass for the uid of a Kubernetes object.
    assert (workload.name, workload.uid) == ("web", "")


def test_a_container_that_the_cluster_knows_opens_the_path_of_its_pod() -> None:
    finding = a_finding(workload=None, instance_id="i-0abc", containers=(Container(name="a", image="x", id="c-1"),))
    assert opened(finding) == {Path.NODE}, "offline only the machine is known"
    routes = routes_of(finding, an_observed())
    assert {r.path for r in routes} == {Path.POD}
    assert "shop/web-0" in routes[0].reason
    assert {r.path for r in routes_of(finding, an_observed(pods=()))} == {Path.NODE}


def test_a_workload_named_twice_is_one() -> None:
    twin = SequenceResource(uid="r", type="KUBERNETES_WORKLOAD", name="web-0", namespace="shop", kind=WorkloadKind.POD)
    (workload,) = named_workloads(a_finding(sequence=Sequence(uid="s", resources=(twin, twin))))
    assert workload.uid == "p-0"


def test_a_workload_without_a_name_is_nothing_to_act_on() -> None:
    assert opened(a_finding(workload=a_workload(name=""))) == {Path.TRIAGE}


def test_a_role_change_reverts_the_binding() -> None:
    finding = a_finding(
        type="PrivilegeEscalation:Kubernetes/AnomalousBehavior.RoleCreated",
        workload=None,
        role=Role(kind="ClusterRole", name="god", uid="r-1"),
    )
    plan = make_plan(finding, None, Policy())
    assert [(s.action, [t.name for t in s.targets]) for s in plan.steps] == [("revert_binding", ["god"])]


@pytest.mark.parametrize(
    ("type_", "kind"), list(itertools.product(["Policy:Kubernetes/ExposedDashboard", USER_TYPE, POD_TYPE], SubjectKind))
)
def test_every_opened_path_has_steps(type_: str, kind: SubjectKind) -> None:
    plan = make_plan(about(kind, type_, a_workload()), an_observed(), Policy(), unbuilt=frozenset())
    assert {s.path for s in plan.steps} == set(plan.paths)

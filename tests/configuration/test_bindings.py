"""Anonymous users and the default account out of bindings, and bindings that somebody made emptied (C1 to C3)."""

from __future__ import annotations

import pytest

from contracts.states import Containment
from devstack.kube import KubeApi
from findings.model import Role, RoleBinding
from plans.model import Change
from tests.configuration.conftest import Make
from tests.configuration.support import Json, Room, a_binding, account, finding, fresh, group, path_of, request, user

ANONYMOUS, EVERYBODY, JANE = user("system:anonymous"), group("system:unauthenticated"), user("jane")
GRANTED = "Policy:Kubernetes/AnonymousAccessGranted"
DEFAULT_ADMIN = "Policy:Kubernetes/AdminAccessToDefaultServiceAccount"
BOUND = "PrivilegeEscalation:Kubernetes/AnomalousBehavior.RoleBindingCreated"
CREATED = "PrivilegeEscalation:Kubernetes/AnomalousBehavior.RoleCreated"


def subjects(admin: KubeApi, live: Json, kind: str = "ClusterRoleBinding") -> list[Json]:
    metadata = live["metadata"]
    path = f"{path_of(kind, metadata.get('namespace', ''))}/{metadata['name']}"
    found: list[Json] = admin.request("GET", path).get("subjects", [])
    return found


def names(changes: tuple[Change, ...]) -> set[str]:
    return {c.resource.name for c in changes}


def test_anonymous_users_leave_bindings_of_namespaces_too_and_come_back_in_their_order(
    room: Room, make: Make, admin: KubeApi, namespace: str
) -> None:
    wide = make(a_binding(ANONYMOUS, JANE, EVERYBODY))
    narrow = make(a_binding(EVERYBODY, kind="RoleBinding"), namespace)
    asked = request(finding(GRANTED), "unbind_anonymous")
    outcome, changes = room.carry_out(asked)
    assert (outcome.complete, outcome.containment) == (True, Containment.VERIFIED)
    assert (subjects(admin, wide), subjects(admin, narrow, "RoleBinding")) == ([JANE], [])
    assert "system:public-info-viewer" not in names(changes)
    assert not room.release(asked.incident, changes).failures
    assert subjects(admin, wide) == [ANONYMOUS, JANE, EVERYBODY]
    assert subjects(admin, narrow, "RoleBinding") == [EVERYBODY]


def test_the_last_of_two_incidents_lets_anonymous_users_in_again(room: Room, make: Make, admin: KubeApi) -> None:
    live = make(a_binding(ANONYMOUS, JANE))
    first = request(finding(GRANTED), "unbind_anonymous", target="one")
    second = request(finding("Discovery:Kubernetes/SuccessfulAnonymousAccess"), "unbind_anonymous", target="another")
    _, mine = room.carry_out(first)
    # The second finds the work done, and needs it all the same.
    outcome, theirs = room.carry_out(second)
    assert outcome.containment is Containment.VERIFIED and live["metadata"]["name"] in names(theirs)
    kept = room.release(first.incident, mine).kept
    assert subjects(admin, live) == [JANE] and any(second.incident.workflow_id in k for k in kept)
    room.release(second.incident, theirs)
    assert subjects(admin, live) == [ANONYMOUS, JANE]


@pytest.mark.parametrize("first_out", ["anonymous", "binding"])
def test_two_incidents_of_different_aims_share_one_binding(
    room: Room, make: Make, admin: KubeApi, first_out: str
) -> None:
    live = make(a_binding(ANONYMOUS, JANE, EVERYBODY))
    named = RoleBinding(kind="ClusterRoleBinding", name=live["metadata"]["name"], uid=live["metadata"]["uid"])
    let_in = request(finding(GRANTED), "unbind_anonymous")
    made = request(finding(BOUND, role_binding=named), "revert_binding", target=named.name)
    done = {
        "anonymous": (let_in.incident, room.carry_out(let_in)[1]),
        "binding": (made.incident, room.carry_out(made)[1]),
    }
    assert subjects(admin, live) == []
    room.release(*done.pop(first_out))
    # What the other incident needs stays; what it does not need is back.
    assert subjects(admin, live) == ([] if first_out == "anonymous" else [JANE])
    room.release(*done.popitem()[1])
    assert sorted(s["name"] for s in subjects(admin, live)) == ["jane", "system:anonymous", "system:unauthenticated"]


def test_what_a_path_could_not_report_before_it_was_ended_is_undone_too(room: Room, make: Make, admin: KubeApi) -> None:
    live = make(a_binding(ANONYMOUS, JANE))
    asked = request(finding(GRANTED), "unbind_anonymous")
    room.carry_out(asked)
    assert not room.release(asked.incident, ()).undone and subjects(admin, live) == [JANE]
    assert room.release(asked.incident, (), unreported=True).undone
    assert subjects(admin, live) == [ANONYMOUS, JANE]


def test_a_binding_that_another_incident_emptied_and_somebody_deleted_is_no_obstacle(
    room: Room, make: Make, admin: KubeApi
) -> None:
    live = make(a_binding(ANONYMOUS, JANE))
    room.carry_out(request(finding(GRANTED), "unbind_anonymous"))
    admin.request("DELETE", f"{path_of('ClusterRoleBinding')}/{live['metadata']['name']}")
    outcome, changes = room.carry_out(request(finding(GRANTED), "unbind_anonymous"))
    assert outcome.complete and live["metadata"]["name"] not in names(changes)


def test_what_somebody_binds_again_is_found_and_taken_out_again(room: Room, make: Make, admin: KubeApi) -> None:
    live = make(a_binding(ANONYMOUS, JANE))
    asked = request(finding(GRANTED), "unbind_anonymous")
    planned = room.plan(asked)
    room.carry_out(asked, planned)
    path = f"{path_of('ClusterRoleBinding')}/{live['metadata']['name']}"
    admin.request("PATCH", path, {"subjects": [JANE, EVERYBODY]}, content_type="application/merge-patch+json")
    # A round that knows only of what was planned before says that it is open.
    outcome, _ = room.carry_out(asked, planned)
    assert (outcome.complete, outcome.containment) == (False, Containment.INCOMPLETE)
    outcome, _ = room.carry_out(asked)
    assert outcome.containment is Containment.VERIFIED and subjects(admin, live) == [JANE]


def test_the_default_account_loses_what_makes_it_an_administrator_and_nothing_else(
    room: Room, make: Make, admin: KubeApi, namespace: str
) -> None:
    wildcards: Json = {"kind": "ClusterRole", "metadata": {"name": fresh("god")}, "rules": [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    ]}  # fmt: skip
    make(wildcards)
    ours = account(namespace)
    by_user = user(f"system:serviceaccount:{namespace}:default")
    full = make(a_binding(ours, account(namespace, "web"), role="cluster-admin"))
    custom = make(a_binding(ours, role=wildcards["metadata"]["name"], kind="RoleBinding"), namespace)
    spelled = make(a_binding(by_user, JANE, role="edit"))
    harmless = make(a_binding(ours, role="view"))
    elsewhere = make(a_binding(account("other"), role="cluster-admin"))
    pod = {"kind": "Pod", "metadata": {"name": "uses-it"}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    make(pod, namespace)
    named = RoleBinding(kind="ClusterRoleBinding", name=full["metadata"]["name"], uid=full["metadata"]["uid"])
    asked = request(finding(DEFAULT_ADMIN, role_binding=named), "unbind_default_account")

    planned = room.plan(asked)
    assert planned.changes[0].resource.name == named.name, "that which the finding names comes first"
    assert any("uses-it" in n for n in planned.notes), "who loses the rights is said before"
    outcome, changes = room.carry_out(asked, planned)
    assert (outcome.complete, outcome.containment, outcome.reasons) == (True, Containment.VERIFIED, ())
    assert subjects(admin, full) == [account(namespace, "web")]
    assert (subjects(admin, custom, "RoleBinding"), subjects(admin, spelled)) == ([], [JANE])
    assert (subjects(admin, harmless), subjects(admin, elsewhere)) == ([ours], [account("other")])
    room.release(asked.incident, changes)
    assert subjects(admin, full) == [ours, account(namespace, "web")]
    assert (subjects(admin, custom, "RoleBinding"), subjects(admin, spelled)) == ([ours], [by_user, JANE])


def test_an_account_that_is_an_administrator_with_all_others_is_not_called_contained(
    room: Room, make: Make, namespace: str
) -> None:
    own = make(a_binding(account(namespace), role="cluster-admin"))
    make(a_binding(group(f"system:serviceaccounts:{namespace}"), role="cluster-admin"))
    named = RoleBinding(kind="ClusterRoleBinding", name=own["metadata"]["name"])
    outcome, changes = room.carry_out(request(finding(DEFAULT_ADMIN, role_binding=named), "unbind_default_account"))
    assert (outcome.complete, outcome.containment) == (False, Containment.INCOMPLETE)
    assert "every account" in outcome.reasons[0] and len(changes) == 1


def test_the_clusters_own_account_is_left_to_a_person(room: Room, make: Make, admin: KubeApi) -> None:
    live = make(a_binding(account("kube-system"), role="cluster-admin"))
    named = RoleBinding(kind="ClusterRoleBinding", name=live["metadata"]["name"])
    planned = room.plan(request(finding(DEFAULT_ADMIN, role_binding=named), "unbind_default_account"))
    assert planned.changes == () and "does not touch" in planned.failures[0].message


def test_a_binding_that_somebody_made_is_emptied_and_filled_again(room: Room, make: Make, admin: KubeApi) -> None:
    master = group("system:masters")
    live = make(a_binding(master, JANE, account("shop", "web"), EVERYBODY, role="cluster-admin"))
    named = RoleBinding(kind="ClusterRoleBinding", name=live["metadata"]["name"], uid=live["metadata"]["uid"])
    asked = request(finding(BOUND, role_binding=named), "revert_binding", target=named.name)
    outcome, changes = room.carry_out(asked)
    assert (outcome.complete, outcome.containment) == (True, Containment.VERIFIED)
    assert subjects(admin, live) == [master], "the cluster's own keep what they had"
    assert not outcome.tasks
    room.release(asked.incident, changes)
    assert subjects(admin, live) == [master, JANE, account("shop", "web"), EVERYBODY]


def test_another_binding_under_the_same_name_is_not_taken_for_it(room: Room, make: Make, admin: KubeApi) -> None:
    live = make(a_binding(JANE))
    named = RoleBinding(kind="ClusterRoleBinding", name=live["metadata"]["name"], uid="another")
    planned = room.plan(request(finding(BOUND, role_binding=named), "revert_binding"))
    assert planned.blocked and "uid differs" in planned.failures[0].message
    gone = RoleBinding(kind="ClusterRoleBinding", name=fresh("gone"), uid="u")
    planned = room.plan(request(finding(BOUND, role_binding=gone), "revert_binding"))
    assert not planned.blocked and planned.skip


def test_a_role_stays_and_nobody_is_bound_to_it(room: Room, make: Make, admin: KubeApi, namespace: str) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    role = make({"kind": "Role", "metadata": {"name": "reader"}, "rules": rules}, namespace)
    twin_space = fresh("t")
    make({"kind": "Namespace", "metadata": {"name": twin_space}})
    make({"kind": "Role", "metadata": {"name": "reader"}, "rules": rules}, twin_space)
    mine = make(a_binding(JANE, role="reader", role_kind="Role", kind="RoleBinding"), namespace)
    twin = make(a_binding(JANE, role="reader", role_kind="Role", kind="RoleBinding"), twin_space)
    named = Role(kind="Role", name="reader", uid=role["metadata"]["uid"])
    asked = request(finding(CREATED, role=named), "revert_binding")
    outcome, changes = room.carry_out(asked)
    assert outcome.complete and names(changes) == {mine["metadata"]["name"]}
    assert (subjects(admin, mine, "RoleBinding"), subjects(admin, twin, "RoleBinding")) == ([], [JANE])
    (task,) = outcome.tasks
    assert "reader" in task.text
    vague = request(finding(CREATED, role=Role(kind="Role", name="reader")), "revert_binding")
    room.release(asked.incident, changes)
    assert room.plan(vague).blocked, "without a uid either of them may be meant"
    built_in = request(finding(CREATED, role=Role(kind="ClusterRole", name="cluster-admin")), "revert_binding")
    assert room.plan(built_in).blocked


def test_findings_about_nobody_change_nothing(room: Room) -> None:
    assert room.plan(request(finding(BOUND), "revert_binding")).skip

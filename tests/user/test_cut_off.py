"""An identity is cut off by every way that it has into the cluster, nobody else is, and release gives all back."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.doors import Doors
from activities.sweep import SweepActivities
from contracts.activities import SweepRequest
from contracts.states import Containment
from contracts.steps import StepOutcome
from devstack.kube import KubeApi
from devstack.stack import StackInfo
from errors import Conflict, Forbidden, Throttled
from findings.model import AccessKey
from tests.devstack.test_aws import client
from tests.isolation.support import Killed
from tests.user.support import (
    ACCOUNT,
    CLUSTER,
    NODE,
    NODE_ROW,
    PLATFORM,
    RBAC,
    AwsAuth,
    Bindings,
    Entries,
    Json,
    Rooms,
    about,
    fresh,
    group,
    incident,
    request,
    role_arn,
    session_of,
    user,
    user_row,
)

pytestmark = pytest.mark.stack


def codes(outcome: Any) -> list[str]:
    return [f.code for f in outcome.failures]


def contained(outcome: StepOutcome) -> bool:
    return outcome.complete and outcome.containment is Containment.VERIFIED


def test_every_way_of_a_role_is_closed_and_opened_again(
    rooms: Rooms, entries: Entries, aws_auth: AwsAuth, bindings: Bindings
) -> None:
    name = fresh("role")
    arn = entries.make(role_arn(name, "team/"), groups=("developers",))
    entries.grant(arn)
    entries.grant(arn, "Edit", "shop")
    aws_auth.write(NODE_ROW + "# Let in by hand.\n" + user_row(role_arn(name), "dev", "system:masters"))
    username = session_of(name)
    mine = bindings.make(user("jane"), user(username), group("ops"), role="cluster-admin")
    another_session = bindings.make(user(session_of(name, "other")))
    before = (entries.state(arn), aws_auth.data, bindings.subjects(mine), bindings.subjects(another_session))

    key = incident()
    outcome, changes = rooms.carry_out(request(about(username, "developers"), key))

    assert contained(outcome), outcome
    assert entries.state(arn) == {**(before[0] or {}), "groups": [], "policies": {}}
    assert aws_auth.data["mapRoles"] == NODE_ROW + "# Let in by hand.\n"
    assert bindings.subjects(mine) == [user("jane"), group("ops")]
    assert bindings.subjects(another_session) == []
    kinds = [c.resource.kind for c in changes]
    assert kinds[:2] == ["AwsAuthRow", "AccessEntry"], "the row goes before the entry that goes before it"

    released = rooms.release(key, changes)
    assert not released.kept
    after = (entries.state(arn), aws_auth.data, bindings.subjects(mine), bindings.subjects(another_session))
    assert after == before


def test_a_user_named_by_its_key_alone_is_found(rooms: Rooms, entries: Entries) -> None:
    name = fresh("alice")
    arn = entries.make(f"arn:aws:iam::{ACCOUNT}:user/{name}", username=f"person:{name}")
    entries.grant(arn, "View")
    key = AccessKey(access_key_id="AKIAEXAMPLE", user_name=name, user_type="IAMUser")
    outcome, _ = rooms.carry_out(request(about(f"person:{name}", key=key), incident()))
    assert contained(outcome)
    assert (entries.state(arn) or {})["policies"] == {}


@pytest.mark.parametrize(
    ("template", "username"),
    [
        ("jane", "jane"),
        ("corp:{{SessionName}}", "corp:jane-example.com"),
        ("corp:{{SessionNameRaw}}", "corp:jane@example.com"),
        ("{{AccountID}}:{{SessionName}}", f"{ACCOUNT}:jane"),
    ],
)
def test_a_name_that_only_the_map_can_place_is_placed(
    rooms: Rooms, aws_auth: AwsAuth, template: str, username: str
) -> None:
    arn, other = role_arn(fresh("dev")), role_arn(fresh("ops"))
    stays = user_row(other, "corporal", "ops")
    aws_auth.write(NODE_ROW + user_row(arn, f'"{template}"', "developers") + stays)
    key = incident()
    outcome, changes = rooms.carry_out(request(about(username, "developers"), key))
    assert contained(outcome), outcome
    assert aws_auth.data["mapRoles"] == NODE_ROW + stays
    # Looked at again, when the row is gone, it is still known whose name it was.
    again, _ = rooms.carry_out(request(about(username, "developers"), key, made=changes))
    assert contained(again), again


def test_an_exact_name_goes_before_a_template_that_fits_anybody(rooms: Rooms, aws_auth: AwsAuth) -> None:
    anybody = user_row(role_arn(fresh("sso")), '"{{SessionName}}"', "developers")
    aws_auth.write(anybody, user_row(f"arn:aws:iam::{ACCOUNT}:user/jane", "jane", "ops", kind="userarn"))
    outcome, _ = rooms.carry_out(request(about("jane", "ops"), incident()))
    assert contained(outcome)
    assert aws_auth.data == {"mapRoles": anybody, "mapUsers": "[]\n"}


def test_all_rows_of_a_principal_go_and_come_back_as_they_were(rooms: Rooms, aws_auth: AwsAuth) -> None:
    arn = role_arn(fresh("dev"))
    text = (NODE_ROW + user_row(arn, "dev", "a") + "\n# the other\n" + user_row(arn.upper(), "dev2", "b")).replace(
        "\n", "\r\n"
    )
    text = text.replace(arn.upper(), arn.replace("role/dev", "role/DEV"))
    aws_auth.write(text)
    key = incident()
    outcome, changes = rooms.carry_out(request(about(session_of(arn.rpartition("/")[2])), key))
    assert contained(outcome)
    left = aws_auth.data["mapRoles"]
    assert "dev" not in left.lower()
    assert "# the other\r\n" in left
    assert NODE_ROW.replace("\n", "\r\n") in left
    rooms.release(key, changes)
    assert aws_auth.data["mapRoles"] == text


def test_rows_return_to_a_map_that_somebody_has_edited_since(rooms: Rooms, aws_auth: AwsAuth) -> None:
    arn, added = role_arn(fresh("dev")), user_row(role_arn(fresh("new")), "new", "b")
    mine = user_row(arn, "dev", "a")
    aws_auth.write(NODE_ROW + mine)
    key = incident()
    _, changes = rooms.carry_out(request(about(session_of(arn.rpartition("/")[2])), key))
    aws_auth.edit("mapRoles", added + NODE_ROW)
    assert not rooms.release(key, changes).kept
    assert sorted(aws_auth.data["mapRoles"].splitlines()) == sorted((added + NODE_ROW + mine).splitlines())


def test_a_row_that_somebody_put_back_otherwise_is_left(rooms: Rooms, aws_auth: AwsAuth) -> None:
    arn = role_arn(fresh("dev"))
    aws_auth.write(NODE_ROW + user_row(arn, "dev", "a"))
    key = incident()
    _, changes = rooms.carry_out(request(about(session_of(arn.rpartition("/")[2])), key))
    theirs = NODE_ROW + user_row(arn, "dev", "fewer")
    aws_auth.edit("mapRoles", theirs)
    assert rooms.release(key, changes).kept
    assert aws_auth.data["mapRoles"] == theirs


@pytest.mark.parametrize("text", ["- rolearn: [", "rolearn: x\n", "- a\n", '"', "- &x {rolearn: y}\n- *x\n"])
def test_a_map_that_cannot_be_read_is_left_alone_and_said(
    rooms: Rooms, entries: Entries, aws_auth: AwsAuth, text: str
) -> None:
    name = fresh("role")
    arn = entries.make(role_arn(name), groups=("developers",))
    aws_auth.write(NODE_ROW, text)
    asked = request(about(session_of(name), "developers"), incident())
    planned = rooms.plan(asked)
    assert codes(planned) == ["InputError"]
    assert "mapUsers" in planned.failures[0].target
    outcome, _ = rooms.carry_out(asked, planned)
    assert (outcome.complete, outcome.containment) == (False, Containment.INCOMPLETE)
    assert aws_auth.data == {"mapRoles": NODE_ROW, "mapUsers": text}
    # What can be done is done all the same.
    assert (entries.state(arn) or {})["groups"] == []


def test_no_map_at_all_is_no_obstacle(rooms: Rooms, entries: Entries, aws_auth: AwsAuth) -> None:
    name = fresh("role")
    entries.make(role_arn(name), groups=("developers",))
    outcome, _ = rooms.carry_out(request(about(session_of(name)), incident()))
    assert contained(outcome)


def test_what_nodes_join_by_is_never_touched(rooms: Rooms, entries: Entries, aws_auth: AwsAuth) -> None:
    aws_auth.write()
    before = entries.state(NODE)
    outcome, changes = rooms.carry_out(request(about(session_of(NODE.rpartition("/")[2], "i-1")), incident()))
    assert changes == ()
    assert not outcome.complete
    assert (aws_auth.data["mapRoles"], entries.state(NODE)) == (NODE_ROW, before)
    planned = rooms.plan(request(about(session_of(NODE.rpartition("/")[2], "i-1")), incident()))
    assert codes(planned) == ["PolicyRefusal", "PolicyRefusal"]


@pytest.mark.parametrize("name", ["system:kube-scheduler", "system:node:ip-10-0-0-1", "system:anonymous", "eks:addon"])
def test_the_cluster_s_own_identities_are_never_touched(rooms: Rooms, bindings: Bindings, name: str) -> None:
    path = bindings.make(user(name))
    planned = rooms.plan(request(about(name), incident()))
    assert (planned.changes, bool(planned.skip)) == ((), True)
    assert bindings.subjects(path) == [user(name)]


def test_a_finding_that_names_nobody_cuts_nobody_off(rooms: Rooms) -> None:
    planned = rooms.plan(request(about(""), incident()))
    assert (planned.changes, bool(planned.skip)) == ((), True)


def test_a_name_that_imitates_the_cluster_s_own_is_refused(rooms: Rooms, bindings: Bindings) -> None:
    bindings.make(user("system:node:"))
    planned = rooms.plan(request(about("system:node:"), incident()))
    assert (planned.blocked, codes(planned), planned.changes) == (True, ["PolicyRefusal"], ())


def test_the_last_administrator_stays_until_there_is_another(
    rooms: Rooms, entries: Entries, aws_auth: AwsAuth, bindings: Bindings
) -> None:
    name = fresh("role")
    arn = entries.make(role_arn(name))
    entries.grant(arn)
    # A group that nobody is known to be in, a namespace's administrator and a service account are no administrators.
    bindings.make(group("nobody-is-in-it"), role="cluster-admin")
    bindings.make({"kind": "ServiceAccount", "namespace": "default", "name": "ci"}, role="cluster-admin")
    entries.grant(entries.make(role_arn(fresh("shop"))), "ClusterAdmin", "shop")
    asked = request(about(session_of(name)), incident())
    allowed = rooms.plan(asked)
    entries.revoke(PLATFORM)
    try:
        refused = rooms.plan(asked)
        assert (refused.blocked, codes(refused), refused.changes) == (True, ["PolicyRefusal"], ())
        assert "last administrator" in refused.failures[0].message
        # One who became the last since it was planned is not cut off either.
        outcome, _ = rooms.carry_out(asked, allowed)
        assert (outcome.complete, outcome.containment) == (False, Containment.INCOMPLETE)
        assert (entries.state(arn) or {})["policies"]
        aws_auth.write(user_row(role_arn("other-admin"), "other", "system:masters"))
        assert rooms.plan(asked).changes
    finally:
        entries.grant(PLATFORM)
    outcome, _ = rooms.carry_out(asked)
    assert contained(outcome)


def test_a_protected_role_that_turns_up_behind_a_name_is_refused(rooms: Rooms, aws_auth: AwsAuth) -> None:
    text = user_row(role_arn("company-break-glass"), "jane", "system:masters")
    aws_auth.write(text)
    planned = rooms.plan(request(about("jane"), incident()))
    assert (planned.blocked, codes(planned)) == (True, ["PolicyRefusal"])
    # Whoever names it in the finding has seen it and been asked.
    assert rooms.plan(request(about(session_of("company-break-glass")), incident())).changes


def test_our_own_identity_is_refused(rooms: Rooms, doors: Doors, aws_auth: AwsAuth) -> None:
    own = f"arn:aws:iam::{ACCOUNT}:user/{doors.aws.iam.caller_arn().rpartition('/')[2]}"
    aws_auth.write(NODE_ROW, user_row(own, "us", "developers", kind="userarn"))
    planned = rooms.plan(request(about(own), incident()))
    assert (planned.blocked, codes(planned)) == (True, ["PolicyRefusal"])


def test_two_incidents_on_one_subject_the_last_release_restores(
    rooms: Rooms, entries: Entries, aws_auth: AwsAuth, bindings: Bindings
) -> None:
    name = fresh("role")
    arn = entries.make(role_arn(name), groups=("developers",))
    aws_auth.write(NODE_ROW + user_row(arn, "dev", "developers"))
    path = bindings.make(user(session_of(name)), user("jane"))
    before = (entries.state(arn), aws_auth.data, bindings.subjects(path))
    first, second = incident("first"), incident("second")
    finding = about(session_of(name))
    _, of_first = rooms.carry_out(request(finding, first))
    outcome, of_second = rooms.carry_out(request(finding, second))
    assert contained(outcome)
    assert {c.key for c in of_second} == {c.key for c in of_first}
    assert rooms.release(first, of_first).kept
    assert (entries.state(arn) or {})["groups"] == []
    assert bindings.subjects(path) == [user("jane")]
    assert not rooms.release(second, of_second).kept
    assert (entries.state(arn), aws_auth.data, bindings.subjects(path)) == before


def test_two_incidents_on_two_subjects_of_one_map_and_binding(
    rooms: Rooms, aws_auth: AwsAuth, bindings: Bindings
) -> None:
    arns = [role_arn(fresh("dev")) for _ in range(2)]
    names = [session_of(a.rpartition("/")[2]) for a in arns]
    aws_auth.write(NODE_ROW + "".join(user_row(a, fresh("u"), "developers") for a in arns))
    path = bindings.make(user(names[0]), user(names[1]), user("jane"))
    before = (aws_auth.data, bindings.subjects(path))
    keys = [incident(), incident()]
    made = [rooms.carry_out(request(about(name), key)) for name, key in zip(names, keys, strict=True)]
    assert all(contained(outcome) for outcome, _ in made)
    assert (aws_auth.data["mapRoles"], bindings.subjects(path)) == (NODE_ROW, [user("jane")])
    for key, (_, changes) in zip(keys, made, strict=True):
        assert not rooms.release(key, changes).kept
    # Both rows stand again. Who was taken out second knows nothing of the first, so their order may be another.
    assert sorted(aws_auth.data["mapRoles"].splitlines()) == sorted(before[0]["mapRoles"].splitlines())
    assert sorted(map(str, bindings.subjects(path))) == sorted(map(str, before[1]))


@pytest.mark.parametrize("mutations", range(5))
def test_a_worker_that_dies_anywhere_leaves_nothing_that_the_next_does_not_finish(
    rooms: Rooms, entries: Entries, aws_auth: AwsAuth, bindings: Bindings, mutations: int
) -> None:
    name = fresh("role")
    arn = entries.make(role_arn(name), groups=("developers",))
    entries.grant(arn)
    entries.grant(arn, "View")
    aws_auth.write(NODE_ROW + user_row(arn, "dev", "developers"))
    path = bindings.make(user(session_of(name)))
    before = (entries.state(arn), aws_auth.data, bindings.subjects(path))
    key = incident()
    asked = request(about(session_of(name)), key)
    planned = rooms.plan(asked)
    with pytest.raises(Killed):
        rooms.dying_after(mutations).carry_out(asked, planned)
    outcome, changes = rooms.carry_out(asked, planned)
    assert contained(outcome), outcome
    with pytest.raises(Killed):
        rooms.dying_after(mutations).release(key, changes)
    rooms.release(key, changes)
    assert (entries.state(arn), aws_auth.data, bindings.subjects(path)) == before


def test_an_entry_that_goes_meanwhile_is_no_way_in(rooms: Rooms, entries: Entries) -> None:
    name = fresh("role")
    arn = entries.make(role_arn(name), groups=("developers",))
    asked = request(about(session_of(name)), incident())
    planned = rooms.plan(asked)
    entries.delete(arn)
    outcome, _ = rooms.carry_out(asked, planned)
    assert contained(outcome)


def test_an_entry_that_was_made_anew_is_another(rooms: Rooms, entries: Entries) -> None:
    name = fresh("role")
    arn = entries.make(role_arn(name), groups=("developers",))
    key = incident()
    _, changes = rooms.carry_out(request(about(session_of(name)), key))
    entries.delete(arn)
    entries.make(arn)
    rooms.release(key, changes)
    assert (entries.state(arn) or {})["groups"] == [], "release does not give it what the old one had"


def test_a_map_edited_between_plan_and_change_is_planned_anew(rooms: Rooms, aws_auth: AwsAuth) -> None:
    arn = role_arn(fresh("dev"))
    aws_auth.write(NODE_ROW + user_row(arn, "dev", "a"))
    asked = request(about(session_of(arn.rpartition("/")[2])), incident())
    planned = rooms.plan(asked)
    theirs = user_row(role_arn("new"), "new", "b")
    aws_auth.edit("mapRoles", NODE_ROW + user_row(arn, "dev", "a") + theirs)
    outcome, _ = rooms.carry_out(asked, planned)
    assert codes(outcome) == [Conflict.code]
    assert not outcome.complete
    outcome, _ = rooms.carry_out(asked)
    assert contained(outcome)
    assert aws_auth.data["mapRoles"] == NODE_ROW + theirs


def test_throttling_is_passed_on_and_a_missing_permission_is_said(rooms: Rooms, entries: Entries, doors: Doors) -> None:
    name = fresh("role")
    arn = entries.make(role_arn(name), groups=("developers",))
    asked = request(about(session_of(name)), incident())
    planned = rooms.plan(asked)

    def failing(error: Exception) -> Rooms:
        def before() -> None:
            raise error

        return Rooms(dataclasses.replace(doors, aws=doors.aws.guarded_by(before)))

    with pytest.raises(Throttled):
        failing(Throttled("slowly")).carry_out(asked, planned)
    outcome, _ = failing(Forbidden("grant eks:UpdateAccessEntry")).carry_out(asked, planned)
    assert (codes(outcome), outcome.complete, outcome.containment) == (["Forbidden"], False, Containment.INCOMPLETE)
    assert any("still has policies or groups" in r for r in outcome.reasons)
    assert (entries.state(arn) or {})["groups"] == ["developers"]


def test_rights_that_everybody_has_are_not_taken_for_the_subject_s(
    rooms: Rooms, bindings: Bindings, admin: KubeApi
) -> None:
    name = f"{fresh('bob')}@example.com"
    bindings.make(user(name), role="system:basic-user")
    outcome, _ = rooms.carry_out(request(about(name), incident()))
    assert contained(outcome), outcome.reasons
    # What must not be everybody's is said, though taking it from the subject alone is not possible.
    open_to_all = bindings.make(group("system:authenticated"), role="edit")
    outcome, _ = rooms.carry_out(request(about(name), incident()))
    assert not outcome.complete
    assert any("may still create pods" in r and open_to_all.rpartition("/")[2] in r for r in outcome.reasons)


def test_groups_that_no_entry_gave_still_authorise_and_are_cut_off_by_their_own_step(
    rooms: Rooms, bindings: Bindings, namespace: str, admin: KubeApi
) -> None:
    name, team = f"{fresh('bob')}@example.com", fresh("team")
    mine = bindings.make(user(name), user("jane"), role="edit", namespace=namespace)
    # What it allows is little: none of what is always asked about.
    theirs = bindings.make(group(team), group("others"), role="system:public-info-viewer")
    finding, key = about(name, team), incident()
    outcome, changes = rooms.carry_out(request(finding, key))
    assert (outcome.complete, outcome.containment) == (False, Containment.INCOMPLETE)
    assert bindings.subjects(mine) == [user("jane")]
    assert bindings.subjects(theirs) == [group(team), group("others")]
    assert any(team in r for r in outcome.reasons)
    assert any("cut_off_groups" in p for p in outcome.proposals)
    assert [t.owner for t in outcome.tasks] == ["the owner of its identity provider"]

    planned = rooms.plan(request(finding, key, "user.cut_off_groups"))
    assert any("Everybody" in n for n in planned.notes)
    of_groups, more = rooms.carry_out(request(finding, key, "user.cut_off_groups"), planned)
    assert contained(of_groups)
    assert bindings.subjects(theirs) == [group("others")]
    outcome, _ = rooms.carry_out(request(finding, key, made=changes))
    assert contained(outcome), outcome
    rooms.release(key, (*changes, *more))
    assert bindings.subjects(theirs) == [group(team), group("others")]
    assert bindings.subjects(mine) == [user(name), user("jane")]


def test_the_cluster_s_own_groups_are_never_cut_off(rooms: Rooms, admin: KubeApi) -> None:
    before: Json = admin.request("GET", f"{RBAC}/clusterrolebindings/cluster-admin")
    finding = about("bob@example.com", "system:masters")
    planned = rooms.plan(request(finding, incident(), "user.cut_off_groups"))
    assert (planned.changes, bool(planned.skip)) == ((), True)
    assert admin.request("GET", f"{RBAC}/clusterrolebindings/cluster-admin") == before


def test_a_hidden_administrator_is_said_to_be_one(rooms: Rooms, aws_auth: AwsAuth) -> None:
    aws_auth.write()
    key = AccessKey(access_key_id="AKIAEXAMPLE", user_name=fresh("creator"), user_type="IAMUser")
    outcome, _ = rooms.carry_out(request(about("kubernetes-admin", "system:masters", key=key), incident()))
    assert not outcome.complete
    assert any("hidden administrator" in r for r in outcome.reasons)


def test_kubernetes_admin_is_the_identity_behind_its_key(rooms: Rooms, entries: Entries) -> None:
    name = fresh("creator")
    arn = entries.make(f"arn:aws:iam::{ACCOUNT}:user/{name}")
    entries.grant(arn)
    key = AccessKey(access_key_id="AKIAEXAMPLE", user_name=name, user_type="IAMUser")
    outcome, _ = rooms.carry_out(request(about("kubernetes-admin", "system:masters", key=key), incident()))
    assert contained(outcome), outcome
    assert (entries.state(arn) or {})["policies"] == {}


def test_somebody_who_lets_it_in_again_is_noticed_and_release_still_restores_the_first_state(
    rooms: Rooms, doors: Doors, entries: Entries, aws_auth: AwsAuth
) -> None:
    name = fresh("role")
    arn = entries.make(role_arn(name), groups=("developers",))
    aws_auth.write(NODE_ROW + user_row(arn, "dev", "developers"))
    before = (entries.state(arn), aws_auth.data)
    key = incident()
    asked = request(about(session_of(name)), key)
    _, changes = rooms.carry_out(asked)
    sweep = SweepActivities(doors).sweep_held_objects
    assert key.workflow_id not in ActivityEnvironment().run(sweep, SweepRequest(cluster=CLUSTER)).broken
    entries.grant(arn, "Edit")
    aws_auth.edit("mapRoles", "- what: [is this\n")
    broken = ActivityEnvironment().run(sweep, SweepRequest(cluster=CLUSTER)).broken[key.workflow_id]
    assert "not as it was left" in broken
    aws_auth.edit("mapRoles", NODE_ROW)
    outcome, changes = rooms.carry_out(asked.model_copy(update={"made": changes}))
    assert contained(outcome), outcome
    assert key.workflow_id not in ActivityEnvironment().run(sweep, SweepRequest(cluster=CLUSTER)).broken
    assert not rooms.release(key, changes).kept
    state = entries.state(arn) or {}
    # What somebody gave it in between was taken as well, and comes back as well.
    assert state.pop("policies") == {"AmazonEKSEditPolicy": {"type": "cluster"}}
    assert state == {k: v for k, v in (before[0] or {}).items() if k != "policies"}
    assert aws_auth.data == before[1]


def test_the_owner_of_a_key_is_found_where_the_finding_gives_only_ids(
    rooms: Rooms, entries: Entries, stack: StackInfo
) -> None:
    iam, name = client(stack, "iam"), fresh("alice")
    iam.create_user(UserName=name)
    key_id = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    arn = entries.make(f"arn:aws:iam::{ACCOUNT}:user/{name}", groups=("developers",), username="somebody")
    key = AccessKey(access_key_id=key_id, principal_id="AIDAEXAMPLE", user_type="IAMUser")
    outcome, _ = rooms.carry_out(request(about("somebody", "developers", key=key), incident()))
    assert contained(outcome), outcome
    assert (entries.state(arn) or {})["groups"] == []

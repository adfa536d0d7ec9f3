"""An identity is cut off by every way that it has into the cluster, nobody else is, and release gives all back."""

from __future__ import annotations

import pytest

from activities.doors import Doors
from contracts.states import Containment
from devstack.kube import KubeApi
from devstack.stack import StackInfo
from findings.model import AccessKey
from tests.devstack.test_aws import client
from tests.user.support import (
    ACCOUNT,
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
    codes,
    contained,
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

"""Access keys against IAM: switched off, traced, deleted, switched on again by release."""

from __future__ import annotations

import secrets

import pytest

from activities.doors import Doors
from devstack.stack import StackInfo
from errors import Forbidden, Throttled
from tests.user_credentials.support import (
    ACCOUNT,
    Iam,
    Rooms,
    about_role,
    about_user,
    gave_out,
    incident,
    recorded,
    refusing,
    request,
)

pytestmark = pytest.mark.stack

OFF = "user.deactivate_key"
DELETE = "user.delete_key"
CALLER = "user.deactivate_caller_key"


@pytest.fixture
def rooms(doors: Doors) -> Rooms:
    return Rooms(doors)


def session_key() -> str:
    return f"ASIA{secrets.token_hex(8).upper()}"


def test_the_key_of_the_finding_is_switched_off_and_no_other(iam: Iam, rooms: Rooms) -> None:
    user = iam.user()
    key, other = iam.key(user), iam.key(user)
    one = incident()
    asked = request(OFF, about_user(user, key), one)
    planned = rooms.plan(asked)
    assert iam.keys(user) == {key: "Active", other: "Active"}
    assert any("cut off as well" in note for note in planned.notes)

    outcome, changes = rooms.carry_out(asked, planned)
    assert outcome.complete and outcome.containment is None
    assert iam.keys(user) == {key: "Inactive", other: "Active"}
    again, _ = rooms.carry_out(asked, planned)
    assert again.complete

    rooms.release(one, changes)
    assert iam.keys(user) == {key: "Active", other: "Active"}


def test_the_first_of_two_incidents_leaves_the_key_off(iam: Iam, rooms: Rooms) -> None:
    user = iam.user()
    key = iam.key(user)
    one, two = incident("one"), incident("two")
    _, first = rooms.carry_out(request(OFF, about_user(user, key), one))
    outcome, second = rooms.carry_out(request(OFF, about_user(user, key), two))
    assert outcome.complete and len(second) == 1
    assert second[0].before == {"/Status": "Active"}
    kept = rooms.release(one, first)
    assert "held by" in kept.kept[0]
    assert iam.keys(user) == {key: "Inactive"}
    rooms.release(two, second)
    assert iam.keys(user) == {key: "Active"}


def test_a_key_that_was_off_before_stays_off(iam: Iam, rooms: Rooms) -> None:
    user = iam.user()
    key = iam.key(user)
    iam.client.update_access_key(UserName=user, AccessKeyId=key, Status="Inactive")
    planned = rooms.plan(request(OFF, about_user(user, key), incident()))
    assert (planned.changes, "was Inactive already" in planned.skip) == ((), True)


def test_release_leaves_a_key_that_somebody_deleted(iam: Iam, rooms: Rooms) -> None:
    user = iam.user()
    key = iam.key(user)
    one = incident()
    _, changes = rooms.carry_out(request(OFF, about_user(user, key), one))
    iam.client.delete_access_key(UserName=user, AccessKeyId=key)
    assert not rooms.release(one, changes).failures
    assert iam.keys(user) == {}


@pytest.mark.parametrize("gone", ["key", "user"])
def test_what_is_gone_is_said_and_no_failure(iam: Iam, rooms: Rooms, gone: str) -> None:
    user = iam.user()
    key = iam.key(user)
    iam.client.delete_access_key(UserName=user, AccessKeyId=key)
    if gone == "user":
        iam.client.delete_user(UserName=user)
    for step in (OFF, DELETE):
        planned = rooms.plan(request(step, about_user(user, key), incident()))
        assert (planned.changes, planned.failures) == ((), ())
        assert ("does not exist any more" if gone == "user" else "any more") in planned.skip


def test_the_key_of_another_user_is_not_touched(iam: Iam, rooms: Rooms) -> None:
    user, other = iam.user(), iam.user()
    key = iam.key(other)
    for step in (OFF, DELETE):
        planned = rooms.plan(request(step, about_user(user, key), incident()))
        assert planned.blocked and planned.failures[0].code == "PolicyRefusal"
        assert other in planned.failures[0].message


def test_a_user_of_another_account_and_root_are_out_of_reach(iam: Iam, rooms: Rooms) -> None:
    finding = about_user("x", "AKIAEXAMPLE")
    assert finding.user is not None
    elsewhere = finding.user.model_copy(update={"username": "arn:aws:iam::999999999999:user/x"})
    planned = rooms.plan(request(OFF, finding.model_copy(update={"user": elsewhere}), incident()))
    assert "999999999999" in planned.skip
    root = finding.user.model_copy(update={"username": f"arn:aws:iam::{ACCOUNT}:root"})
    assert "cannot end" in rooms.plan(request(OFF, finding.model_copy(update={"user": root}), incident())).skip


def test_a_refusal_of_iam_is_never_reported_as_done(iam: Iam, doors: Doors, rooms: Rooms) -> None:
    user = iam.user()
    key = iam.key(user)
    asked = request(OFF, about_user(user, key), incident())
    outcome, _ = Rooms(refusing(doors, Forbidden("iam:UpdateAccessKey"))).carry_out(asked)
    assert not outcome.complete and outcome.failures[0].code == "Forbidden"
    assert "no key was switched off" in outcome.summary
    with pytest.raises(Throttled):
        Rooms(refusing(doors, Throttled("slowly"))).carry_out(asked)
    assert iam.keys(user) == {key: "Active"}
    outcome, _ = rooms.carry_out(asked)
    assert outcome.complete


def test_only_a_key_that_is_off_is_deleted(iam: Iam, rooms: Rooms) -> None:
    user = iam.user()
    key, other = iam.key(user), iam.key(user)
    finding, one = about_user(user, key), incident()
    asked = request(DELETE, finding, one)
    refused = rooms.plan(asked)
    assert refused.blocked and "is Active" in refused.failures[0].message

    _, before = rooms.carry_out(request(OFF, finding, one))
    planned = rooms.plan(asked)
    assert any("cannot be brought back" in note for note in planned.notes)
    iam.client.update_access_key(UserName=user, AccessKeyId=key, Status="Active")
    outcome, _ = rooms.carry_out(asked, planned)
    assert not outcome.complete and outcome.failures[0].code == "Conflict"
    assert key in iam.keys(user)

    iam.client.update_access_key(UserName=user, AccessKeyId=key, Status="Inactive")
    outcome, changes = rooms.carry_out(asked, planned)
    assert outcome.complete and iam.keys(user) == {other: "Active"}
    again, _ = rooms.carry_out(asked, planned)
    assert again.complete
    released = rooms.release(one, (*before, *changes))
    assert any("nothing brings it back" in k for k in released.kept)
    assert iam.keys(user) == {other: "Active"}


def test_the_administrator_of_the_cluster_is_the_user_behind_it(iam: Iam, rooms: Rooms) -> None:
    user = iam.user()
    key = iam.key(user)
    finding = about_user(user, key)
    assert finding.user is not None
    admin = finding.model_copy(update={"user": finding.user.model_copy(update={"username": "kubernetes-admin"})})
    outcome, _ = rooms.carry_out(request(OFF, admin, incident()))
    assert outcome.complete and iam.keys(user) == {key: "Inactive"}
    protected = iam.user(f"break-glass-{secrets.token_hex(4)}")
    other = iam.key(protected)
    ours = admin.model_copy(update={"access_key": about_user(protected, other).access_key})
    planned = rooms.plan(request(OFF, ours, incident()))
    assert planned.blocked and "Protected" in planned.failures[0].message


@pytest.mark.parametrize("resource", [True, False])
def test_a_session_leads_to_the_key_of_the_user_who_made_it(
    stack: StackInfo, iam: Iam, rooms: Rooms, resource: bool
) -> None:
    user, role, first, second = iam.user(), iam.role(), session_key(), session_key()
    key = iam.key(user)
    by_user = {"type": "IAMUser", "userName": user, "accessKeyId": key}
    by_session = {"type": "AssumedRole", "accessKeyId": first}
    recorded(stack, gave_out(first, by_user, resource=resource), gave_out(second, by_session, resource=resource))
    one = incident()
    asked = request(CALLER, about_role(role, second), one)
    planned = rooms.plan(asked)
    assert any(user in note and key in note for note in planned.notes)
    outcome, changes = rooms.carry_out(asked, planned)
    assert outcome.complete and iam.keys(user) == {key: "Inactive"}
    assert [user in t.text and key in t.text for t in outcome.tasks] == [True]
    rooms.release(one, changes)
    assert iam.keys(user) == {key: "Active"}


@pytest.mark.parametrize(
    ("caller", "said"),
    [
        ({"type": "WebIdentityUser", "userName": "system:serviceaccount:a:b"}, "no access key"),
        ({"type": "Root", "accessKeyId": "AKIAROOT"}, "no access key"),
        ({"type": "IAMUser", "userName": "x", "accessKeyId": "AKIAX", "accountId": "999999999999"}, "another account"),
        (None, "has no event"),
    ],
)
def test_a_session_of_anybody_else_changes_nothing(
    stack: StackInfo, rooms: Rooms, caller: dict[str, str] | None, said: str
) -> None:
    key = session_key()
    if caller is not None:
        recorded(stack, gave_out(key, caller))
    planned = rooms.plan(request(CALLER, about_role("r", key), incident()))
    assert (planned.changes, said in planned.skip) == ((), True), planned.skip


def test_a_protected_user_behind_a_session_is_not_touched(stack: StackInfo, iam: Iam, rooms: Rooms) -> None:
    user = iam.user(f"break-glass-{secrets.token_hex(4)}")
    key, session = iam.key(user), session_key()
    recorded(stack, gave_out(session, {"type": "IAMUser", "userName": user, "accessKeyId": key}))
    planned = rooms.plan(request(CALLER, about_role("r", session), incident()))
    assert (planned.changes, planned.failures, "Protected" in planned.skip) == ((), (), True)
    assert iam.keys(user) == {key: "Active"}


def test_sessions_are_ended_all_the_same_when_cloudtrail_refuses(
    rooms: Rooms, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> object:
        raise Forbidden("cloudtrail:LookupEvents: grant it")

    monkeypatch.setattr(doors.aws.cloudtrail, "events", refuse)
    planned = rooms.plan(request(CALLER, about_role("r", session_key()), incident()))
    assert (planned.failures, planned.blocked, "grant it" in planned.skip) == ((), False, True)


def test_the_key_that_firebreak_itself_may_use_is_not_touched(
    iam: Iam, rooms: Rooms, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, other = iam.user(), iam.user()
    key, innocent = iam.key(user), iam.key(other)
    monkeypatch.setattr(doors.aws.iam, "caller_arn", lambda: f"arn:aws:iam::{ACCOUNT}:user/team/{user.upper()}")
    planned = rooms.plan(request(OFF, about_user(user, key), incident()))
    assert planned.blocked and "Firebreak itself" in planned.failures[0].message
    assert rooms.plan(request(OFF, about_user(other, innocent), incident())).changes

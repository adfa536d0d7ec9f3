"""Sessions of users and roles against IAM: refused until a moment that moves forward, allowed again by release."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.doors import Doors
from activities.user.documents import revoke_document, revoked_before
from errors import Forbidden
from tests.user_credentials.support import (
    ACCOUNT,
    REVOKE,
    Iam,
    Rooms,
    about_role,
    about_user,
    incident,
    refusing,
    request,
)

pytestmark = pytest.mark.stack

STEP = "user.revoke_sessions"


@pytest.fixture
def rooms(doors: Doors) -> Rooms:
    return Rooms(doors)


def until(document: Any) -> datetime:
    return datetime.fromisoformat(revoked_before(document))


def test_sessions_of_a_role_are_refused_until_now_and_allowed_again_by_release(iam: Iam, rooms: Rooms) -> None:
    role = iam.role(path="/team/")
    iam.client.put_role_policy(
        RoleName=role, PolicyName="own", PolicyDocument=json.dumps(revoke_document(datetime.now(UTC)))
    )
    own = iam.policies(role)
    one = incident()
    planned = rooms.plan(request(STEP, about_role(role), one))
    assert any("refused until they sign in again" in n for n in planned.notes)
    before = datetime.now(UTC)
    outcome, changes = rooms.carry_out(request(STEP, about_role(role), one))
    assert outcome.complete and outcome.containment is None
    assert "may take some minutes" in outcome.summary
    statement = iam.policies(role)[REVOKE]["Statement"][0]
    assert (statement["Effect"], statement["Action"], statement["Resource"]) == ("Deny", ["*"], ["*"])
    assert list(statement["Condition"]) == ["DateLessThan"]
    assert before <= until(iam.policies(role)[REVOKE]) <= before + timedelta(seconds=10)
    rooms.release(one, changes)
    assert iam.policies(role) == own


def test_once_more_moves_the_moment_and_keeps_what_was_there_before(iam: Iam, rooms: Rooms) -> None:
    role = iam.role()
    consoles = {**revoke_document(datetime.now(UTC))}
    consoles["Statement"] = [{**consoles["Statement"][0], "Sid": "Console"}]
    iam.client.put_role_policy(RoleName=role, PolicyName=REVOKE, PolicyDocument=json.dumps(consoles))
    one = incident()
    asked = request(STEP, about_role(role), one)
    _, first = rooms.carry_out(asked)
    planned = rooms.plan(asked.model_copy(update={"again": True, "made": first}))
    # What is planned a minute later says a minute more.
    later = revoke_document(datetime.now(UTC) + timedelta(minutes=1))
    second = planned.changes[0].model_copy(update={"after": {"/PolicyDocument": later}})
    assert second.before == first[0].before == {"/PolicyDocument": consoles}
    assert second.key == first[0].key
    outcome, _ = rooms.carry_out(asked, planned.model_copy(update={"changes": (second,)}))
    assert outcome.complete and until(iam.policies(role)[REVOKE]) == until(later)
    # An attempt that was thought dead comes late, and must not open what was closed since.
    stale, _ = rooms.carry_out(asked, planned.model_copy(update={"changes": first}))
    assert stale.complete and until(iam.policies(role)[REVOKE]) == until(later)
    rooms.release(one, (second,))
    assert iam.policies(role) == {REVOKE: consoles}


def test_two_incidents_on_one_role_end_with_the_later_release(iam: Iam, rooms: Rooms) -> None:
    role = iam.role()
    one, two = incident("one"), incident("two")
    _, first = rooms.carry_out(request(STEP, about_role(role), one))
    _, second = rooms.carry_out(request(STEP, about_role(role, session="t"), two))
    assert second[0].before == {"/PolicyDocument": None}
    rooms.release(one, first)
    assert REVOKE in iam.policies(role)
    rooms.release(two, second)
    assert iam.policies(role) == {}


def test_what_somebody_wrote_since_is_left(iam: Iam, rooms: Rooms) -> None:
    role = iam.role()
    one = incident()
    _, changes = rooms.carry_out(request(STEP, about_role(role), one))
    theirs = revoke_document(datetime.now(UTC) + timedelta(hours=1))
    theirs["Statement"][0]["Sid"] = "Theirs"
    iam.client.put_role_policy(RoleName=role, PolicyName=REVOKE, PolicyDocument=json.dumps(theirs))
    released = rooms.release(one, changes)
    assert any("somebody changed" in k for k in released.kept)
    assert iam.policies(role) == {REVOKE: theirs}


def test_sessions_made_with_a_user_s_keys_are_refused_too(iam: Iam, rooms: Rooms) -> None:
    user = iam.user()
    one = incident()
    outcome, changes = rooms.carry_out(request(STEP, about_user(user, "AKIAEXAMPLE"), one))
    assert outcome.complete and list(iam.user_policies(user)) == [REVOKE]
    rooms.release(one, changes)
    assert iam.user_policies(user) == {}


def test_roles_that_nobody_can_change_are_stated_and_left(iam: Iam, rooms: Rooms) -> None:
    linked = f"AWSServiceRoleForX{secrets.token_hex(3)}"
    iam.role(linked, path="/aws-service-role/x.amazonaws.com/")
    center = iam.role(f"AWSReservedSSO_Admin_{secrets.token_hex(4)}")
    for role, said in ((linked, "linked to a service"), (center, "Identity Center"), ("nobody", "not exist")):
        planned = rooms.plan(request(STEP, about_role(role), incident()))
        assert (planned.changes, planned.failures, said in planned.skip) == ((), (), True), planned
    assert iam.policies(linked) == iam.policies(center) == {}


def test_a_refusal_of_iam_is_never_reported_as_done(iam: Iam, doors: Doors) -> None:
    role = iam.role()
    outcome, _ = Rooms(refusing(doors, Forbidden("iam:PutRolePolicy"))).carry_out(
        request(STEP, about_role(role), incident())
    )
    assert not outcome.complete and outcome.failures[0].code == "Forbidden"
    assert "no sessions ended" in outcome.summary
    assert iam.policies(role) == {}


def test_firebreak_s_own_sessions_are_left_alone(
    iam: Iam, rooms: Rooms, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    role, user = iam.role(), iam.user()
    monkeypatch.setattr(doors.aws.iam, "caller_arn", lambda: f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/pod")
    assert "own" in rooms.plan(request(STEP, about_role(role), incident())).skip
    monkeypatch.setattr(doors.aws.iam, "caller_arn", lambda: f"arn:aws:sts::{ACCOUNT}:assumed-role/{user}/pod")
    assert rooms.plan(request(STEP, about_user(user, "AKIAEXAMPLE0"), incident())).changes

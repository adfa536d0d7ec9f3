"""Rows of aws-auth: whose they are, how they go and return, and what is left alone."""

from __future__ import annotations

import pytest

from contracts.states import Containment
from errors import Conflict
from tests.user.support import (
    ACCOUNT,
    NODE_ROW,
    AwsAuth,
    Entries,
    Rooms,
    about,
    codes,
    contained,
    fresh,
    incident,
    request,
    role_arn,
    session_of,
    user_row,
)

pytestmark = pytest.mark.stack


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

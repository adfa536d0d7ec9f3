"""Cutting off is finished by whoever comes after, held by every incident, and noticed when somebody undoes it."""

from __future__ import annotations

import dataclasses

import pytest
from temporalio.testing import ActivityEnvironment

from activities.doors import Doors
from activities.sweep import SweepActivities
from contracts.activities import SweepRequest
from contracts.states import Containment
from errors import Forbidden, Throttled
from tests.isolation.support import Killed
from tests.user.support import (
    CLUSTER,
    NODE_ROW,
    AwsAuth,
    Bindings,
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
    user,
    user_row,
)

pytestmark = pytest.mark.stack


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

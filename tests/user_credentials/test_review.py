"""What an identity did, as a task and as evidence; and Detective's investigation of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.doors import Doors
from activities.user.detective import InvestigateActivities
from contracts.steps import StepOutcome, StepRequest
from devstack.stack import StackInfo
from errors import Forbidden
from evidence.entry import parse_entry
from findings.model import Finding
from tests.devstack.test_aws import client
from tests.user_credentials.support import Iam, Json, Rooms, about_role, about_user, incident, recorded, request

pytestmark = pytest.mark.stack

REVIEW, INVESTIGATE = "user.review_account", "user.investigate"


@pytest.fixture
def rooms(doors: Doors) -> Rooms:
    return Rooms(doors)


def did(name: str, user: str, key: str = "", *, minutes: int = 1, **record: Any) -> Json:
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    return {
        "EventId": secrets.token_hex(8),
        "EventName": name,
        "EventSource": "iam.amazonaws.com",
        "EventTime": at.isoformat(),
        "Username": user,
        "AccessKeyId": key,
        "CloudTrailEvent": json.dumps({"eventName": name, "eventTime": f"{at:%Y-%m-%dT%H:%M:%SZ}", **record}),
    }


def test_a_person_is_told_what_the_user_did_and_the_events_are_kept(
    stack: StackInfo, doors: Doors, rooms: Rooms
) -> None:
    user, key = f"u-{secrets.token_hex(4)}", f"AKIA{secrets.token_hex(8).upper()}"
    made: Json = {"requestParameters": {"userName": "mallory"}, "responseElements": {"sessionToken": "secret-value"}}
    recorded(
        stack,
        did("ListBuckets", user, key, minutes=9),
        did("ListBuckets", user, key, minutes=8),
        did("CreateAccessKey", user, minutes=7, **made),
        did("CreateRole", user, minutes=6, errorCode="AccessDenied", requestParameters={"roleName": "back"}),
        did("DeleteTrail", "somebody-else", minutes=5),
    )
    one = incident()
    outcome, changes = rooms.carry_out(request(REVIEW, about_user(user, key), one))
    assert outcome.complete and changes == ()
    (task,) = outcome.tasks
    for said in ("4 events", "ListBuckets 2 times", "CreateAccessKey for mallory", "CreateRole for back (refused)"):
        assert said in task.text
    assert "DeleteTrail" not in task.text and task.owner == user
    again, _ = rooms.carry_out(request(REVIEW, about_user(user, key), one))
    assert [t.id for t in again.tasks] == [task.id]

    assert outcome.entries is not None and outcome.artefacts == 1
    listed = b"".join(doors.store.get(outcome.entries.key))
    entry = parse_entry(json.loads(listed))
    events = b"".join(doors.store.get(f"{one.evidence_prefix}/{entry.key}"))
    assert (entry.kind, entry.size, events.count(b"\n")) == ("cloudtrail-events", len(events), 4)
    assert b"mallory" in events and b"secret-value" not in events


def test_names_from_events_cannot_write_into_the_terminal(stack: StackInfo, rooms: Rooms) -> None:
    user = f"u-{secrets.token_hex(4)}"
    recorded(stack, did("CreateUser", user, requestParameters={"userName": "x\u001b[2J\n" + "y" * 5000}))
    outcome, _ = rooms.carry_out(request(REVIEW, about_user(user, "AKIAEXAMPLE0"), incident()))
    text = outcome.tasks[0].text
    assert text.isprintable() and len(text) < 1000


@pytest.mark.parametrize("user_type", ["Root", "FederatedUser"])
def test_credentials_that_nobody_can_end_are_the_owner_s_task(rooms: Rooms, user_type: str) -> None:
    finding = about_user("x", "", user_type=user_type)
    arn = "arn:aws:iam::123456789012:root" if user_type == "Root" else "arn:aws:sts::123456789012:federated-user/x"
    assert finding.user is not None
    named = finding.model_copy(update={"user": finding.user.model_copy(update={"username": arn})})
    outcome, _ = rooms.carry_out(request(REVIEW, named, incident()))
    assert [t.owner for t in outcome.tasks] == ["the owner of the account"]
    assert "cannot be ended here" in outcome.tasks[0].text


def test_without_cloudtrail_the_task_says_so(rooms: Rooms, doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Iterator[Any]:
        raise Forbidden("cloudtrail:LookupEvents: grant it")

    monkeypatch.setattr(doors.aws.cloudtrail, "events", refuse)
    outcome, _ = rooms.carry_out(request(REVIEW, about_user("x", "AKIAEXAMPLE0"), incident()))
    assert outcome.complete and outcome.entries is None
    assert "could not be read" in outcome.tasks[0].text


@pytest.fixture
def graph(stack: StackInfo) -> Iterator[str]:
    detective = client(stack, "detective")
    arn = str(detective.create_graph()["GraphArn"])
    yield arn
    detective.delete_graph(GraphArn=arn)


def investigate(doors: Doors, finding: Finding, *, patience: float = 20) -> StepOutcome:
    room = InvestigateActivities(doors, timedelta(seconds=patience), timedelta())
    asked: StepRequest = request(INVESTIGATE, finding, incident())
    return ActivityEnvironment().run(room.investigate_subject, asked)


def test_detective_investigates_the_role_once(stack: StackInfo, iam: Iam, doors: Doors, graph: str) -> None:
    role = iam.role(path="/team/")
    running = investigate(doors, about_role(role), patience=0)
    assert running.complete and "still runs" in running.summary
    ended = investigate(doors, about_role(role))
    assert "found severity HIGH" in ended.summary and "https://us-east-1.console.aws" in ended.summary
    listed = client(stack, "detective").list_investigations(GraphArn=graph)["InvestigationDetails"]
    assert [i["EntityArn"] for i in listed] == [f"arn:aws:iam::123456789012:role/team/{role}"]
    assert "does not exist" in investigate(doors, about_role("nobody")).summary


def test_without_detective_the_outcome_says_so(iam: Iam, doors: Doors, rooms: Rooms) -> None:
    outcome = investigate(doors, about_role(iam.role()))
    assert outcome.complete and outcome.skipped and "no behaviour graph" in outcome.summary
    assert rooms.plan(request(INVESTIGATE, about_role("r"), incident())).notes

"""CloudTrail's events of an identity in the evidence: what it did, what was done to it, and nobody else's."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.doors import Doors
from activities.user.trail import MOST_EVENTS
from devstack.stack import StackInfo
from errors import Forbidden, Throttled
from evidence.verify import verify
from tests.assess.support import account_user, raw_finding, read
from tests.user_credentials.audited import Collected, about_name, collect
from tests.user_credentials.support import (
    ACCOUNT,
    Iam,
    Json,
    Rooms,
    about_role,
    about_user,
    incident,
    recorded,
    request,
)

pytestmark = pytest.mark.stack

BY, ABOUT = "cloudtrail-events", "cloudtrail-events-about"


def happened(name: str, *, minutes: float = 1, resources: tuple[Json, ...] = (), **fields: Any) -> Json:
    """An event in the shape of LookupEvents; `record` is merged into the record itself."""
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    record = {"eventName": name, "eventTime": f"{at:%Y-%m-%dT%H:%M:%SZ}", **fields.pop("record", {})}
    return {
        "EventId": secrets.token_hex(8),
        "EventName": name,
        "EventTime": at.isoformat(),
        "Resources": list(resources),
        "CloudTrailEvent": json.dumps(record),
        **fields,
    }


def resource(kind: str, name: str) -> Json:
    return {"ResourceType": kind, "ResourceName": name}


def named(collected: Collected, kind: str) -> list[str]:
    return [str(e["eventName"]) for e in collected.events(kind)]


def new(prefix: str = "u") -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


def test_what_a_user_did_and_what_was_done_to_it_are_two_artefacts(stack: StackInfo, doors: Doors) -> None:
    user, key = new(), f"AKIA{secrets.token_hex(8).upper()}"
    made = {"responseElements": {"accessKey": {"accessKeyId": "AKIA2", "secretAccessKey": "secret-value"}}}
    recorded(
        stack,
        happened("ListBuckets", minutes=9, AccessKeyId=key),
        happened("CreateAccessKey", minutes=8, Username=user, record=made),
        happened("AttachUserPolicy", minutes=7, Username="boss", resources=(resource("AWS::IAM::User", user),)),
        happened("DeleteBucket", minutes=6, Username="boss", resources=(resource("AWS::S3::Bucket", user),)),
        happened("GetUser", minutes=5, Username=f"{user}2"),
        happened("GetRole", minutes=60 * 26, Username=user),
    )
    collected = collect(doors, about_user(user, key))
    assert named(collected, BY) == ["ListBuckets", "CreateAccessKey"]
    assert named(collected, ABOUT) == ["AttachUserPolicy"]
    assert b"secret-value" not in collected.data(BY)
    entry = collected.entry(BY)
    assert entry.redactions == ("/1/responseElements/accessKey/secretAccessKey",)
    assert (entry.subject.kind, entry.subject.name, entry.reason) == ("iam-user", user, "")
    state = collected.sealed()
    assert verify(doors.store, collected.key.evidence_prefix, state.manifest_sha256, state.manifests).ok


def test_a_session_of_another_role_or_account_that_is_called_alike_is_not_it(
    stack: StackInfo, doors: Doors, iam: Iam
) -> None:
    role, other, session = iam.role(path="/team/"), new("r"), new("s")

    def of(name: str, account: str = ACCOUNT) -> Json:
        issuer = {"sessionIssuer": {"type": "Role", "userName": name}}
        return {"userIdentity": {"type": "AssumedRole", "accountId": account, "sessionContext": issuer}}

    arn = f"arn:aws:iam::{ACCOUNT}:role/team/{role}"
    recorded(
        stack,
        happened("GetObject", Username=session, record=of(role)),
        happened("DeleteObject", Username=session, record=of(other)),
        happened("PutObject", Username=session, record=of(role, "210987654321")),
        happened("AssumeRole", Username="ci", resources=(resource("AWS::IAM::Role", arn),)),
        happened("PutRolePolicy", Username="boss", resources=(resource("AWS::IAM::Role", role),)),
    )
    collected = collect(doors, about_role(role, key=f"ASIA{secrets.token_hex(8).upper()}", session=session))
    assert named(collected, BY) == ["GetObject"]
    assert sorted(named(collected, ABOUT)) == ["AssumeRole", "PutRolePolicy"]


def test_of_a_service_account_the_roles_that_its_token_took_are_kept(stack: StackInfo, doors: Doors, eks: Any) -> None:
    issuer = eks.describe_cluster(name=stack.cluster)["cluster"]["identity"]["oidc"]["issuer"].removeprefix("https://")
    namespace = new("ns")
    name = f"system:serviceaccount:{namespace}:web"

    def from_(provider: str) -> Json:
        arn = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{provider}"
        return {"userIdentity": {"type": "WebIdentityUser", "userName": name, "identityProvider": arn}}

    took = "AssumeRoleWithWebIdentity"
    recorded(
        stack,
        happened(took, Username=name, record={**from_(issuer), "requestParameters": {"roleArn": "mine"}}),
        happened(took, Username=name, record={**from_("oidc.eks.example/id/OTHER"), "requestParameters": {}}),
    )
    collected = collect(doors, read(raw_finding("f", user=account_user(namespace, "web"))), (namespace, "web"))
    (event,) = collected.events(BY)
    assert event["requestParameters"] == {"roleArn": "mine"}
    assert {e.kind for e in collected.entries} == {"audit-events", BY}


@pytest.mark.parametrize("name", ["kubernetes-admin", "jane", "bob@example.com"])
def test_a_name_of_the_cluster_is_not_taken_for_one_of_iam(stack: StackInfo, doors: Doors, name: str) -> None:
    recorded(stack, happened("CreateUser", Username=name))
    assert {e.kind for e in collect(doors, about_name(name)).entries} == {"audit-events"}


def test_there_were_more_than_are_read(stack: StackInfo, doors: Doors) -> None:
    user = new()
    recorded(stack, *(happened(f"Call{n}", minutes=1 + n, Username=user) for n in range(MOST_EVENTS + 5)))
    collected = collect(doors, about_user(user, ""))
    events = named(collected, BY)
    assert (len(events), events[-1]) == (MOST_EVENTS, "Call0")
    assert f"newest {MOST_EVENTS} events" in collected.entry(BY).reason


def test_nothing_is_an_artefact_that_says_so(doors: Doors) -> None:
    collected = collect(doors, about_user(new(), "AKIAEXAMPLE0"))
    assert (collected.data(BY), collected.entry(BY).reason) == (b"", "CloudTrail has no event of it")


@pytest.mark.parametrize("error", [Forbidden("cloudtrail:LookupEvents: grant it"), Throttled("slow down")])
def test_what_cannot_be_read_is_recorded_and_the_audit_log_is_kept(
    doors: Doors, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: Any) -> Iterator[Any]:
        raise error

    monkeypatch.setattr(doors.aws.cloudtrail, "events", refuse)
    collected = collect(doors, about_user(new(), "AKIAEXAMPLE0"))
    reasons = {e.kind: e.reason for e in collected.entries if not e.collected}
    assert reasons == dict.fromkeys((BY, ABOUT), f"{type(error).__name__}: {error}")
    assert collected.entry("audit-events").collected and collected.outcome.complete
    assert [f.step for f in collected.outcome.failures] == ["user.collect"] * 2


def test_the_review_reads_what_was_collected_and_asks_cloudtrail_nothing(
    stack: StackInfo, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, key = new(), incident()
    finding = about_user(user, f"AKIA{secrets.token_hex(8).upper()}")
    recorded(stack, happened("CreateRole", Username=user, record={"requestParameters": {"roleName": "back"}}))
    collected = collect(doors, finding, key=key)
    collected.sealed()

    def refuse(*_: Any) -> Iterator[Any]:
        raise AssertionError("it was asked")

    with monkeypatch.context() as patch:
        patch.setattr(doors.aws.cloudtrail, "events", refuse)
        outcome, _ = Rooms(doors).carry_out(request("user.review_account", finding, key))
    (task,) = outcome.tasks
    assert "1 events" in task.text and "made or changed CreateRole for back" in task.text
    assert (outcome.entries, outcome.artefacts) == (None, 0), "it is in the evidence once"

    # What is not what was recorded is not believed.
    path = f"{doors.store.location}/{key.evidence_prefix}/{collected.entry(BY).key}"
    with open(path, "ab") as file:
        file.write(b'{"eventName": "Invented"}\n')
    outcome, _ = Rooms(doors).carry_out(request("user.review_account", finding, key))
    assert "Invented" not in outcome.tasks[0].text and outcome.artefacts == 1

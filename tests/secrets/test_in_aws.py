"""What an identity of IAM read in AWS, as the stand-in's CloudTrail recorded it (guide U7)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.doors import Doors
from clients.aws import Aws
from contracts.steps import StepRequest
from devstack.aws.prepare import put_events
from devstack.stack import StackInfo
from errors import Forbidden
from tests.secrets.support import plan_secrets, rotate
from tests.user_credentials.support import about_role, about_user, incident, request

pytestmark = pytest.mark.stack

STEP = "user.rotate_secrets"
Json = dict[str, Any]


def call(name: str, key: str, asked: Json, *, user: str = "", **record: Any) -> Json:
    """CloudTrail's event of a call that gives values."""
    source = "ssm" if "Parameter" in name else "secretsmanager"
    told = {"eventName": name, "requestParameters": asked, **record}
    return {
        "EventId": secrets.token_hex(8),
        "EventName": name,
        "EventSource": f"{source}.amazonaws.com",
        "EventTime": (datetime.now(UTC) - timedelta(minutes=2)).isoformat(),
        "Username": user,
        "AccessKeyId": key,
        "CloudTrailEvent": json.dumps(told),
    }


def of_user(key: str) -> StepRequest:
    return request(STEP, about_user(f"u-{secrets.token_hex(4)}", key), incident("aws"))


def a_key() -> str:
    return f"AKIA{secrets.token_hex(8).upper()}"


def test_what_was_read_is_rotated_or_named_and_nothing_else(
    stack: StackInfo, doors: Doors, aws: Aws, in_aws: Callable[..., str]
) -> None:
    rotates, still, refused, others = in_aws(), in_aws(rotates=False), in_aws(), in_aws()
    key = a_key()
    events = [
        call("GetSecretValue", key, {"secretId": rotates}),
        call("BatchGetSecretValue", key, {"secretIdList": [rotates, still]}),
        call("GetSecretValue", key, {"secretId": refused}, errorCode="AccessDenied"),
        call("GetSecretValue", a_key(), {"secretId": others}),
        call("GetSecretValue", key, {"secretId": "shop/far"}, awsRegion="eu-west-1"),
        call("GetParameters", key, {"names": ["/shop/db", "/shop/mail"]}),
    ]
    put_events(stack.aws_endpoint, region=stack.region, events=events)
    before = {arn: aws.secrets_manager.state(arn) for arn in (rotates, still, refused, others)}
    asked = of_user(key)
    planned = plan_secrets(doors, asked)
    assert "read 3 secrets and 2 parameters in AWS" in " ".join(planned.notes)
    outcome = rotate(doors, asked, planned=planned)
    assert outcome.complete, outcome

    after = {arn: aws.secrets_manager.state(arn) for arn in before}
    assert {arn for arn in before if before[arn] != after[arn]} == {rotates}
    texts = [t.text for t in outcome.tasks]
    assert len(texts) == 4
    assert f"Rotate the secret {still}: it was read; no rotation is set up" in texts[0]
    assert texts[1] == "Replace secrets of Secrets Manager in other regions that were read: shop/far."
    assert texts[2] == "Replace parameters of Systems Manager that were read: /shop/db and /shop/mail."
    assert texts[3].startswith("Find out which other secrets")
    assert [t.id for t in rotate(doors, asked).tasks] == [t.id for t in outcome.tasks]


def test_a_session_is_known_by_its_key(stack: StackInfo, doors: Doors) -> None:
    key = f"ASIA{secrets.token_hex(8).upper()}"
    put_events(stack.aws_endpoint, region=stack.region, events=[call("GetParameter", key, {"name": "/shop/db"})])
    outcome = rotate(doors, request(STEP, about_role("auditor", key), incident("aws")))
    assert "/shop/db" in outcome.tasks[0].text
    assert outcome.tasks[-1].owner == "account 123456789012"


def test_without_cloudtrail_the_task_says_so(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Forbidden("cloudtrail:LookupEvents: grant it")

    monkeypatch.setattr(doors.aws.cloudtrail, "events", refuse)
    outcome = rotate(doors, of_user(a_key()))
    assert outcome.complete
    (task,) = outcome.tasks
    assert "CloudTrail does not say what was read: cloudtrail:LookupEvents" in task.text

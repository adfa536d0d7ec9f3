"""Users, keys and roles in the stand-in's IAM, and steps planned and carried out as a worker would."""

from __future__ import annotations

import dataclasses
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.doors import Doors
from activities.user.credentials import CREDENTIAL_ROOMS
from contracts.common import IncidentKey
from contracts.steps import StepRequest
from devstack.aws.prepare import put_events
from devstack.stack import StackInfo
from findings.model import AccessKey, Finding
from findings.subject import subjects_of
from plans.model import Gate, Path, Step, Target, TargetKind, Verdict
from tests.assess.support import raw_finding, read
from tests.step_rooms import StepRooms

Json = dict[str, Any]
ACCOUNT = "123456789012"
REVOKE = "AWSRevokeOlderSessions"
EC2_MAY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def incident(name: str = "one") -> IncidentKey:
    return IncidentKey(workflow_id=f"gd/{ACCOUNT}/us-east-1/{name}-{secrets.token_hex(4)}", run_id="run-1")


@dataclass
class Iam:
    """The account's IAM, as its administrator sees it."""

    client: Any

    def user(self, name: str = "") -> str:
        name = name or f"u-{secrets.token_hex(4)}"
        self.client.create_user(UserName=name)
        return name

    def key(self, user: str) -> str:
        return str(self.client.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"])

    def keys(self, user: str) -> dict[str, str]:
        found = self.client.list_access_keys(UserName=user)["AccessKeyMetadata"]
        return {k["AccessKeyId"]: k["Status"] for k in found}

    def role(self, name: str = "", trust: Json | None = None, path: str = "/") -> str:
        name = name or f"r-{secrets.token_hex(4)}"
        self.client.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(trust or EC2_MAY))
        return name

    def trust(self, role: str) -> Json:
        return dict(self.client.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"])

    def policies(self, role: str) -> dict[str, Any]:
        names = self.client.list_role_policies(RoleName=role)["PolicyNames"]
        return {n: self.client.get_role_policy(RoleName=role, PolicyName=n)["PolicyDocument"] for n in names}

    def user_policies(self, user: str) -> dict[str, Any]:
        names = self.client.list_user_policies(UserName=user)["PolicyNames"]
        return {n: self.client.get_user_policy(UserName=user, PolicyName=n)["PolicyDocument"] for n in names}


def about_user(name: str, key: str, *, user_type: str = "IAMUser") -> Finding:
    """A finding about an IAM user and the key that it used."""
    finding = read(raw_finding(f"f-{secrets.token_hex(4)}", user={"Username": f"arn:aws:iam::{ACCOUNT}:user/{name}"}))
    return finding.model_copy(update={"access_key": AccessKey(access_key_id=key, user_name=name, user_type=user_type)})


def about_role(name: str, key: str = "ASIAEXAMPLE", session: str = "s") -> Finding:
    """A finding about a session of a role."""
    username = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{session}"
    finding = read(raw_finding(f"f-{secrets.token_hex(4)}", user={"Username": username}))
    key_ = AccessKey(access_key_id=key, user_name=name, user_type="AssumedRole", principal_id=f"AROAX:{session}")
    return finding.model_copy(update={"access_key": key_})


def request(step: str, finding: Finding, key: IncidentKey, *accounts: tuple[str, str], **more: Any) -> StepRequest:
    """One step about everybody in a finding, and service accounts beside."""
    path, _, action = step.partition(".")
    targets = [
        Target(kind=TargetKind.SUBJECT, name=s.name, uid=s.principal_arn)
        for s in subjects_of(finding)
        if s.kind.value != "service-account"
    ]
    targets += [Target(kind=TargetKind.SERVICE_ACCOUNT, namespace=ns, name=name) for ns, name in accounts]
    planned = Step(
        step=step,
        path=Path(path),
        action=action,
        targets=tuple(targets),
        gate=Gate.CREDENTIALS,
        decision=Verdict.APPROVAL,
        reason="a test",
        undo="a test",
    )
    return StepRequest(incident=key, step=planned, finding=finding, **more)


class Rooms(StepRooms):
    """The rooms of credentials."""

    kinds = CREDENTIAL_ROOMS


def refusing(doors: Doors, error: Exception, *, after: int = 0) -> Doors:
    """The same doors, whose AWS fails when it is to be changed for the so-many-and-first time."""
    left = [after]

    def before() -> None:
        if left[0] == 0:
            raise error
        left[0] -= 1

    return dataclasses.replace(doors, aws=doors.aws.guarded_by(before))


def gave_out(session_key: str, caller: Json, *, name: str = "AssumeRole", resource: bool = True) -> Json:
    """CloudTrail's event of a call to STS that gave out a key."""
    record = {
        "eventName": name,
        "userIdentity": {"accountId": ACCOUNT, **caller},
        "responseElements": {"credentials": {"accessKeyId": session_key, "sessionToken": "a token"}},
    }
    return {
        "EventId": secrets.token_hex(8),
        "EventName": name,
        "EventSource": "sts.amazonaws.com",
        "EventTime": (datetime.now(UTC) - timedelta(minutes=30)).isoformat(),
        "Resources": [{"ResourceType": "AWS::IAM::AccessKey", "ResourceName": session_key}] if resource else [],
        "CloudTrailEvent": json.dumps(record),
    }


def recorded(stack: StackInfo, *events: Json) -> None:
    put_events(stack.aws_endpoint, region=stack.region, events=events)

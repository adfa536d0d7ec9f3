"""What the audit log and CloudTrail know of whom a finding is about, in the evidence of its incident (guide P6, U5)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.states import Containment, IncidentState
from devstack.aws import audit
from devstack.aws.audit import event
from devstack.stack import StackInfo
from tests.assess.support import raw_finding
from tests.devstack.test_aws import client
from tests.e2e.incident import Incident, step_state
from tests.e2e.targets import NAME, contained, deployed
from tests.e2e.test_user_credentials import about_user, done
from tests.e2e.workloads import Json
from tests.e2e.world import World
from tests.user_credentials.support import ACCOUNT, Iam, recorded


@pytest.fixture
def iam(stack: StackInfo) -> Iam:
    return Iam(client(stack, "iam"))


def happened(world: World, *events: Json) -> None:
    """The API server's audit log has these events, of a moment ago."""
    now = datetime.now(UTC)
    audit.write(client(world.stack, "logs"), world.stack.cluster, [(now, audit.line_of(e)) for e in events])


async def listed(world: World, incident: Incident) -> dict[str, Json]:
    """The sealed entries of what was collected or not, by kind; none of these tests has two of one kind."""
    entries = (await world.firebreak("evidence", "list", incident.id))["entries"]
    return {e["kind"]: e for e in entries}


async def fetched(world: World, incident: Incident, entry: Json, folder: Path) -> list[Json]:
    """The events of one artefact, as somebody gets them out of the evidence."""
    await world.firebreak("evidence", "get", incident.id, entry["key"], "--to", str(folder))
    (file,) = folder.rglob(Path(entry["key"]).name)
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_what_a_user_did_in_the_cluster_and_in_aws_is_in_the_evidence(
    world: World, iam: Iam, tmp_path: Path
) -> None:
    user = iam.user()
    key, arn = iam.key(user), f"arn:aws:iam::{ACCOUNT}:user/{user}"
    secret = {"kind": "Secret", "data": {"password": "c2VjcmV0LXZhbHVl"}}
    happened(
        world,
        event(arn, "get", "secrets", namespace="shop", name="db", level="RequestResponse", responseObject=secret),
        event(f"{arn}2", "delete", "secrets", namespace="shop", name="db"),
    )
    call = {"EventId": uuid.uuid4().hex, "EventName": "CreateRole", "EventTime": datetime.now(UTC).isoformat()}
    recorded(world.stack, {**call, "AccessKeyId": key, "CloudTrailEvent": '{"eventName": "CreateRole"}'})
    raw = about_user(user, key)
    world.publish(raw)
    incident = await world.start(raw)
    view = await done(incident, "user.review_account")

    assert step_state(view, "user.collect") == "done" and not view.failures
    entries = await listed(world, incident)
    in_the_cluster, in_aws = entries["audit-events"], entries["cloudtrail-events"]
    assert in_the_cluster["subject"]["name"] == in_aws["subject"]["name"] == user
    (line,) = await fetched(world, incident, in_the_cluster, tmp_path / "cluster")
    assert (line["user"]["username"], line["verb"], line["objectRef"]["resource"]) == (arn, "get", "secrets")
    assert line["responseObject"] == "[redacted]"
    (line,) = await fetched(world, incident, in_aws, tmp_path / "aws")
    assert line["eventName"] == "CreateRole"
    (task,) = (t.task for t in view.tasks if t.task.step == "user.review_account")
    assert "made or changed CreateRole" in task.text
    assert (await world.firebreak("evidence", "verify", incident.id))["ok"]

    await incident.release()
    assert (await world.firebreak("evidence", "verify", incident.id))["ok"], "what was kept stays kept"


async def test_what_was_done_to_a_pod_is_in_the_evidence_before_it_is_deleted(world: World, tmp_path: Path) -> None:
    accused = await deployed(world, "Deployment")
    pod = world.pods(NAME)[0]["metadata"]
    command = event("mallory", "create", "pods", namespace=world.namespace, name=pod["name"], subresource="exec")
    happened(world, command, event("mallory", "create", "pods", namespace=world.namespace, name=f"{pod['name']}0"))
    incident = await contained(world, accused)

    entry = (await listed(world, incident))["audit-events"]
    (line,) = await fetched(world, incident, entry, tmp_path)
    assert line["auditID"] == command["auditID"]
    assert {p["metadata"]["uid"] for p in world.pods(NAME)} >= {pod["uid"]}, "nothing is deleted yet"

    await incident.approve()
    view = await incident.result()
    assert (view.state, view.failures) == (IncidentState.REMEDIATED, ())
    assert (await world.firebreak("evidence", "verify", incident.id))["ok"]


async def test_what_an_anonymous_caller_did_is_in_the_evidence(world: World, tmp_path: Path) -> None:
    call = event("system:anonymous", "list", "pods", namespace=world.namespace)
    happened(world, call)
    user = {"Username": "system:anonymous", "Groups": ["system:unauthenticated"]}
    raw = raw_finding(uuid.uuid4().hex, finding_type="Policy:Kubernetes/AnonymousAccessGranted", user=user)
    world.publish(raw)
    incident = await world.start(raw)
    view = await incident.result()
    assert (view.state, view.containment) == (IncidentState.REMEDIATED, Containment.VERIFIED)
    entry = (await listed(world, incident))["audit-events"]
    assert call["auditID"] in {e["auditID"] for e in await fetched(world, incident, entry, tmp_path)}


@pytest.fixture
def switched_off(stack: StackInfo) -> Iterator[None]:
    """The cluster writes no audit log while the test lasts, and has none."""
    eks, logs = client(stack, "eks"), client(stack, "logs")
    off: Any = {"clusterLogging": [{"types": ["api", "audit"], "enabled": False}]}
    eks.update_cluster_config(name=stack.cluster, logging=off)
    logs.delete_log_group(logGroupName=audit.group_of(stack.cluster))
    yield
    eks.update_cluster_config(name=stack.cluster, logging=audit.ON)
    audit.make_log(logs, stack.cluster)


async def test_without_an_audit_log_everything_else_goes_on(world: World, switched_off: None) -> None:
    accused = await deployed(world, "Deployment")
    user = {"Username": f"system:serviceaccount:{world.namespace}:default"}
    incident = await world.start(world.finding_about(accused, user=user))
    await incident.contained()
    await incident.collected()
    await done(incident, "user.collect")

    said = {f["step"]: f for f in (await world.firebreak("show", incident.id))["failures"]}
    assert said.keys() == {"pod.collect", "user.collect"}
    for failure in said.values():
        assert failure["code"] == "TargetGone"
        assert f"audit log of the cluster {world.stack.cluster} is off" in failure["message"]
    entries = (await world.firebreak("evidence", "list", incident.id))["entries"]
    assert [e["kind"] for e in entries if e["outcome"] == "failed"] == ["audit-events"] * 2
    assert {"pod-manifest", "rights", "cloudtrail-events"} <= {
        e["kind"] for e in entries if e["outcome"] == "collected"
    }
    assert (await world.firebreak("evidence", "verify", incident.id))["ok"]
    await incident.release()

"""A finding that was expected is suppressed on somebody's word, and heard of again after release (guide G4)."""

from __future__ import annotations

import uuid
from typing import Any

import boto3
import pytest
from mypy_boto3_guardduty import GuardDutyClient

from contracts.states import IncidentState
from tests.assess.support import account_user, raw_finding
from tests.e2e.incident import Incident
from tests.e2e.workloads import Json
from tests.e2e.world import World

REASON = "the scanner of the platform team, OPS-83"


@pytest.fixture
def guardduty(world: World) -> GuardDutyClient:
    env = world.stack.environment()
    client: GuardDutyClient = boto3.client(
        "guardduty",
        endpoint_url=world.stack.aws_endpoint,
        region_name=world.stack.region,
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    )
    return client


def about_a_scanner(world: World) -> Json:
    """A finding about an account that nothing is known of, so that the incident waits for a person."""
    return raw_finding(
        uuid.uuid4().hex,
        finding_type="Discovery:Kubernetes/MaliciousIPCaller",
        user=account_user(world.namespace, "scanner"),
    )


def criteria_of(guardduty: GuardDutyClient, world: World, name: str) -> dict[str, Any] | None:
    try:
        found = guardduty.get_filter(DetectorId=world.stack.detector_id, FilterName=name)
    except guardduty.exceptions.BadRequestException:
        return None
    assert found["Action"] == "ARCHIVE"
    return {field: c["Equals"] for field, c in found["FindingCriteria"]["Criterion"].items()}


async def test_a_running_incident_proposes_creates_and_releases(world: World, guardduty: GuardDutyClient) -> None:
    raw = about_a_scanner(world)
    world.publish(raw)
    incident: Incident = await world.start(raw)
    await incident.until(lambda v: v.plan is not None, "the plan stands")

    proposed = await world.firebreak("suppress", incident.id, "--reason", REASON)
    assert (proposed["stands"], proposed["failures"]) == (None, [])
    assert criteria_of(guardduty, world, proposed["filter"]) is None, "nobody has said yes"
    refused = await world.firebreak("suppress", incident.id, "--yes", code=2)
    assert "--reason" in refused["error"]["message"]

    created = await world.firebreak("suppress", incident.id, "--reason", REASON, "--yes")
    assert (created["stands"], created["filter"]) == (True, proposed["filter"])
    found = criteria_of(guardduty, world, created["filter"])
    assert found == {field: c["equals"] for field, c in proposed["criteria"].items()}
    user = f"system:serviceaccount:{world.namespace}:scanner"
    assert found["resource.kubernetesDetails.kubernetesUserDetails.username"] == [user]
    assert await incident.is_open(), "an answer to suppress is no answer to a gate"
    assert (await world.firebreak("suppress", incident.id, "--reason", REASON, "--yes"))["stands"]
    assert criteria_of(guardduty, world, created["filter"]) == found

    released = await world.firebreak("release", incident.id, "--reason", "the scanner is gone")
    assert released["done"] and any(created["filter"] in key for key in released["undone"])
    assert criteria_of(guardduty, world, created["filter"]) is None


async def test_a_false_alarm_is_released_first_and_suppressed_then(world: World, guardduty: GuardDutyClient) -> None:
    raw = about_a_scanner(world)
    world.publish(raw)
    incident = await world.start(raw)
    await incident.until(lambda v: v.plan is not None, "the plan stands")
    assert (await incident.release()).state is IncidentState.RELEASED

    created = await world.firebreak("suppress", incident.id, "--reason", REASON, "--yes")
    assert created["stands"]
    assert criteria_of(guardduty, world, created["filter"]) is not None
    released = await world.firebreak("release", incident.id, "--reason", "it was no scanner")
    assert any(created["filter"] in key for key in released["undone"])
    assert criteria_of(guardduty, world, created["filter"]) is None
    again = await world.firebreak("release", incident.id, "--reason", "once more")
    assert again["done"] and not again["undone"]

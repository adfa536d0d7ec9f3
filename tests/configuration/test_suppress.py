"""A finding that was expected: the filter is created as it was approved, held, and undone; never a wider one (G4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from mypy_boto3_guardduty import GuardDutyClient

from activities.changes.drift import TURNS, drifted
from activities.changes.engine import Engine
from activities.doors import Doors
from contracts.steps import StepRequest
from devstack.stack import StackInfo
from plans.model import ResourceRef
from plans.suppression import suppression_of, suppression_step
from tests.assess.support import account_user, raw_finding, read
from tests.configuration.support import Json, Room, fresh, request

Publish = Callable[[Json], None]


@pytest.fixture
def guardduty(stack: StackInfo) -> GuardDutyClient:
    env = stack.environment()
    client: GuardDutyClient = boto3.client(
        "guardduty",
        endpoint_url=stack.aws_endpoint,
        region_name=stack.region,
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    )
    return client


@pytest.fixture
def raw(publish: Publish) -> Json:
    """A finding that GuardDuty knows, about an account that no other test has."""
    found = raw_finding(fresh("f"), user=account_user("scan", fresh("scanner")))
    publish(found)
    return found


def asking(raw: Json) -> StepRequest:
    """What a person approved who saw the proposal for this copy of the finding."""
    finding = read(raw)
    step = suppression_step(suppression_of(finding), None, "ada", "the scanner of the platform team")
    return request(finding, "suppress").model_copy(update={"step": step})


def stored(guardduty: GuardDutyClient, stack: StackInfo, asked: StepRequest) -> dict[str, Any] | None:
    name = asked.step.targets[0].name
    try:
        found = guardduty.get_filter(DetectorId=stack.detector_id, FilterName=name)
    except guardduty.exceptions.BadRequestException:
        return None
    return {key: value for key, value in found.items() if key != "ResponseMetadata"}


def test_what_was_approved_is_created_once_and_released(
    room: Room, raw: Json, guardduty: GuardDutyClient, stack: StackInfo
) -> None:
    asked = asking(raw)
    plan = room.plan(asked)
    assert stored(guardduty, stack, asked) is None, "planning only reads"
    assert any("Firebreak does not hear of it" in note for note in plan.notes)

    outcome, changes = room.carry_out(asked, plan)
    assert outcome.complete and not outcome.failures
    found = stored(guardduty, stack, asked)
    assert found is not None and found["Action"] == "ARCHIVE"
    username = raw["Resource"]["KubernetesDetails"]["KubernetesUserDetails"]["Username"]
    assert {field: c["Equals"] for field, c in found["FindingCriteria"]["Criterion"].items()} == {
        "type": [raw["Type"]],
        "accountId": [raw["AccountId"]],
        "resource.eksClusterDetails.name": [raw["Resource"]["EksClusterDetails"]["Name"]],
        "resource.kubernetesDetails.kubernetesUserDetails.username": [username],
    }
    # Killed after the filter was made and run again: the same end.
    again, _ = room.carry_out(asked, plan)
    assert again.complete and stored(guardduty, stack, asked) == found
    assert room.release(asked.incident, changes).undone
    assert stored(guardduty, stack, asked) is None


def test_the_pods_that_a_workload_will_make_are_meant_as_the_person_saw(
    room: Room, publish: Publish, guardduty: GuardDutyClient, stack: StackInfo
) -> None:
    name = fresh("checkout")
    pod = {"Name": f"{name}-7d9f8-x2x4z", "Type": "pods", "Namespace": "shop", "Uid": "u"}
    raw = raw_finding(fresh("f"), workload=pod)
    publish(raw)
    owner = ResourceRef(kind="Deployment", namespace="shop", name=name, uid="d")
    step = suppression_step(suppression_of(read(raw), owner), owner, "ada", "load test")
    asked = request(read(raw), "suppress").model_copy(update={"step": step})
    outcome, changes = room.carry_out(asked)
    assert outcome.complete, outcome
    found = stored(guardduty, stack, asked)
    assert found is not None
    field = "resource.kubernetesDetails.kubernetesWorkloadDetails.name"
    assert found["FindingCriteria"]["Criterion"][field] == {"Matches": [f"{name}-*"]}
    assert room.plan(asked).changes == changes, "what was made for it already is held, and nothing is made anew"
    assert room.release(asked.incident, changes).undone


def test_two_incidents_hold_one_filter_and_the_last_release_deletes_it(
    room: Room, raw: Json, publish: Publish, guardduty: GuardDutyClient, stack: StackInfo
) -> None:
    other = raw | {"Id": fresh("f")}
    publish(other)
    first, second = asking(raw), asking(other)
    assert first.step.targets == second.step.targets
    assert room.carry_out(first)[0].complete
    outcome, changes = room.carry_out(second)
    assert outcome.complete and changes, "the second holds what the first made"
    kept = room.release(first.incident, (), unreported=True)
    assert "held by" in kept.kept[0]
    assert stored(guardduty, stack, first) is not None
    # What no path of the incident has told is undone all the same.
    assert room.release(second.incident, (), unreported=True).undone
    assert stored(guardduty, stack, second) is None


def test_a_finding_that_guardduty_does_not_know_as_it_was_shown_hides_nothing(room: Room, raw: Json) -> None:
    forged = asking(raw_finding(fresh("f"), user=account_user("scan", "scanner")))
    plan = room.plan(forged)
    assert plan.blocked and not plan.changes
    assert "does not know the finding" in plan.failures[0].message
    details = {"KubernetesUserDetails": account_user("shop", "checkout")}
    altered = asking(raw | {"Resource": raw["Resource"] | {"KubernetesDetails": details}})
    plan = room.plan(altered)
    assert plan.blocked and not plan.changes
    assert "another filter" in plan.failures[0].message


def test_a_filter_of_another_s_hand_stays(
    room: Room, raw: Json, guardduty: GuardDutyClient, stack: StackInfo, doors: Doors
) -> None:
    asked = asking(raw)
    name = asked.step.targets[0].name
    _, changes = room.carry_out(asked)
    wider = {"Criterion": {"type": {"Equals": [raw["Type"]]}}}
    guardduty.update_filter(DetectorId=stack.detector_id, FilterName=name, FindingCriteria=wider)  # type: ignore[arg-type]
    plan = room.plan(asked)
    assert plan.blocked and "somebody changed it" in plan.failures[0].message
    woken: set[str] = set()
    for minute in range(TURNS):
        woken |= drifted(Engine(doors), minute, lambda: None)[1].keys()
    assert asked.incident.workflow_id not in woken, "no containment rests on a filter"
    assert "somebody changed it" in room.release(asked.incident, changes).kept[0]
    assert stored(guardduty, stack, asked) is not None
    guardduty.delete_filter(DetectorId=stack.detector_id, FilterName=name)


def test_what_somebody_made_by_hand_is_not_taken_for_ours(
    room: Room, raw: Json, guardduty: GuardDutyClient, stack: StackInfo
) -> None:
    asked = asking(raw)
    (change,) = room.plan(asked).changes
    value: Any = change.after[""]
    criterion = {field: {"Equals": c["equals"]} for field, c in value["criteria"].items()}
    name = asked.step.targets[0].name
    criteria: Any = {"Criterion": criterion}
    guardduty.create_filter(
        DetectorId=stack.detector_id, Name=name, Action="ARCHIVE", FindingCriteria=criteria, Description="by hand"
    )
    plan = room.plan(asked)
    assert plan.skip == f"the filter {name} stands already" and not plan.changes
    assert room.release(asked.incident, (), unreported=True).undone == ()
    assert stored(guardduty, stack, asked) is not None
    guardduty.delete_filter(DetectorId=stack.detector_id, FilterName=name)


def test_a_region_without_room_for_another_says_so_and_holds_nothing(
    room: Room, raw: Json, guardduty: GuardDutyClient, stack: StackInfo, doors: Doors
) -> None:
    made: list[str] = []
    criteria: Any = {"Criterion": {"type": {"Equals": ["none"]}}}
    try:
        while True:
            name = fresh("full")
            try:
                guardduty.create_filter(DetectorId=stack.detector_id, Name=name, FindingCriteria=criteria)
            except guardduty.exceptions.BadRequestException:
                break
            made.append(name)
        asked = asking(raw)
        outcome, _ = room.carry_out(asked)
        assert not outcome.complete
        assert "limit of filters" in outcome.failures[0].message
        assert not [r for r in Engine(doors).held.all() if asked.incident.workflow_id in r.incidents]
    finally:
        for name in made:
            guardduty.delete_filter(DetectorId=stack.detector_id, FilterName=name)

"""What goes wrong at AWS and on the way: nothing is reported that was not done, and another attempt ends the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from activities.doors import Doors
from activities.node.groups import ISOLATION_GROUP, UNTRACKED_GROUP, Groups
from contracts.states import Containment
from errors import Throttled, Unavailable
from tests.node.incident import Incident
from tests.node.support import Fleet


@pytest.fixture
def answers(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let AWS answer one operation with an error: always, or from the n-th call on."""

    def put(service: str, operation: str, code: str, status: int = 400, *, after: int = 0) -> None:
        client = getattr(doors.aws, service)._client
        real = getattr(client, operation)
        calls = 0

        def answer(**parameters: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls <= after:
                return real(**parameters)
            response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise ClientError(response, operation)

        monkeypatch.setattr(client, operation, answer)

    return put


def test_without_leave_to_look_at_instances_the_node_itself_is_protected_and_the_rest_is_said(
    doors: Doors, nodes: Fleet, answers: Callable[..., None]
) -> None:
    node = nodes.node()
    answers("ec2", "describe_instances", "UnauthorizedOperation", 403)
    incident = Incident(doors)
    outcome = incident.carry_out("protect", node)
    assert not outcome.complete
    assert [f.code for f in outcome.failures] == ["Forbidden"]
    assert "ec2:DescribeInstances" in outcome.failures[0].message
    assert nodes.live(node)["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"
    assert incident.carry_out("cordon", node).containment is Containment.VERIFIED
    assert incident.carry_out("isolate", node).containment is Containment.INCOMPLETE
    assert not incident.carry_out("snapshot", node).complete
    assert incident.plan("terminate", node).blocked


def test_a_protection_that_is_refused_does_not_keep_the_others_away(
    doors: Doors, nodes: Fleet, answers: Callable[..., None]
) -> None:
    node = nodes.node()
    answers("ec2", "modify_instance_attribute", "UnauthorizedOperation", 403)
    incident = Incident(doors)
    outcome = incident.carry_out("protect", node)
    assert not outcome.complete
    assert [f.target for f in outcome.failures] == [f"Instance {node.instance_id}"]
    summary = nodes.summary(node)
    assert (summary["protected"], summary["scale-in"], summary["tagged"]) == (False, True, True)
    incident.release()
    assert not nodes.summary(node)["scale-in"]


def test_a_service_that_asks_for_patience_gets_it(doors: Doors, nodes: Fleet, answers: Callable[..., None]) -> None:
    node = nodes.node()
    answers("autoscaling", "set_instance_protection", "Throttling")
    with pytest.raises(Throttled):
        Incident(doors).carry_out("protect", node)


def test_an_isolation_that_is_refused_is_not_called_one(
    doors: Doors, nodes: Fleet, answers: Callable[..., None]
) -> None:
    node = nodes.node()
    answers("ec2", "modify_network_interface_attribute", "UnauthorizedOperation", 403)
    outcome = Incident(doors).carry_out("isolate", node)
    assert (outcome.complete, outcome.containment) == (False, Containment.INCOMPLETE)
    assert outcome.failures
    assert nodes.groups_of(node) == ["default"]


def test_a_second_step_that_is_refused_leaves_nothing_open(
    doors: Doors, nodes: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = nodes.node()
    ec2 = doors.aws.ec2
    real = ec2.set_groups
    empty: list[str] = []

    def refuse_the_empty_one(interface: str, groups: Any) -> None:
        names = [g["GroupName"] for g in ec2.groups(groups)]
        if names == [ISOLATION_GROUP]:
            empty.append(interface)
            raise Unavailable("ec2:ModifyNetworkInterfaceAttribute: 503")
        real(interface, groups)

    monkeypatch.setattr(ec2, "set_groups", refuse_the_empty_one)
    with pytest.raises(Unavailable):
        Incident(doors).carry_out("isolate", node)
    assert empty
    assert nodes.groups_of(node) == ["default"], "not the group that allows everything"


def test_an_isolation_killed_between_its_steps_is_finished_and_undone_to_what_was_before(
    doors: Doors, nodes: Fleet
) -> None:
    node = nodes.node()
    before = nodes.summary(node)
    incident = Incident(doors)
    plan = incident.plan("isolate", node)
    incident.made = list(plan.changes)
    (change,) = plan.changes
    engine = incident.rooms[0]._engine
    engine.held.join(change, incident.key.workflow_id)
    vpc = nodes.instance(node)["VpcId"]
    untracked = Groups(doors).untracked(vpc)
    doors.aws.ec2.set_groups(change.resource.name, [untracked])
    assert nodes.groups_of(node) == [UNTRACKED_GROUP]

    # The same activity again, and a new plan: both know what was there before.
    (again,) = incident.plan("isolate", node).changes
    assert again.before == change.before
    assert incident.carry_out("isolate", node).containment is Containment.VERIFIED
    assert nodes.groups_of(node) == [ISOLATION_GROUP]
    incident.release()
    assert nodes.summary(node) == before


def test_a_snapshot_that_cannot_be_begun_is_a_failure_and_keeps_the_machine(
    doors: Doors, nodes: Fleet, answers: Callable[..., None]
) -> None:
    node = nodes.node()
    answers("ec2", "create_snapshots", "UnauthorizedOperation", 403)
    incident = Incident(doors)
    outcome = incident.carry_out("snapshot", node)
    assert (outcome.complete, [f.code for f in outcome.failures]) == (False, ["Forbidden"])
    assert incident.plan("terminate", node).blocked


def test_a_termination_that_is_refused_stops_before_the_next_node(
    doors: Doors, nodes: Fleet, answers: Callable[..., None]
) -> None:
    first, second = nodes.node(), nodes.node(group=False)
    incident = Incident(doors)
    assert incident.carry_out("snapshot", first, second).complete
    answers("autoscaling", "terminate_instance_in_auto_scaling_group", "AccessDenied", 403)
    outcome = incident.carry_out("terminate", first, second)
    assert not outcome.complete
    assert "autoscaling:TerminateInstanceInAutoScalingGroup" in outcome.failures[0].message
    assert (nodes.state(first), nodes.state(second)) == ("running", "running")
    assert nodes.exists(first), "the node's object goes only after its machine"

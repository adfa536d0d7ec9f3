"""Which nodes a finding means: by the name of its kubelet, by its pods, by its instance (guide N1)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contracts.activities import Assessment
from devstack.kube import KubeApi
from devstack.stack import StackInfo
from plans.model import Step, Verdict
from tests.assess.support import JsonObject, pod_spec, raw_finding, read, workload_of
from tests.node.support import TOLERATION, Fleet, fleet

nodes = pytest.fixture(name="nodes")(fleet)


def cordon(found: Assessment) -> Step:
    return next(s for s in found.plan.steps if s.step == "node.cordon")


def privileged(**more: Any) -> JsonObject:
    containers = [{"name": "app", "image": "registry.example/app:1", "securityContext": {"privileged": True}}]
    return pod_spec(containers=containers, tolerations=[TOLERATION], **more)


def kubelet(name: str) -> JsonObject:
    return {"Username": f"system:node:{name}", "Groups": ["system:nodes"]}


def test_the_node_of_a_privileged_pod_is_known_by_uid_and_instance(
    found: Callable[..., Assessment], make: Callable[..., JsonObject], nodes: Fleet
) -> None:
    node = nodes.node()
    pod = make("Pod", "root", privileged(nodeName=node.name))
    seen = cordon(found(workload=workload_of(pod, "pods")))
    assert seen.targets == (node.target,)
    assert seen.decision is Verdict.AUTO, seen.reason


def test_a_pod_that_does_not_reach_its_node_costs_no_look_at_it(
    found: Callable[..., Assessment], make: Callable[..., JsonObject]
) -> None:
    pod = make("Pod", "plain", pod_spec(nodeName="node-0"))
    assert not [s for s in found(workload=workload_of(pod, "pods")).plan.steps if s.path.value == "node"]


def test_the_node_that_called_is_known_by_its_name(found: Callable[..., Assessment], nodes: Fleet) -> None:
    node = nodes.node()
    assert cordon(found(user=kubelet(node.name))).targets == (node.target,)


def test_a_node_that_is_gone_is_said_and_not_acted_on(found: Callable[..., Assessment]) -> None:
    seen = cordon(found(user=kubelet("ip-10-0-0-1.ec2.internal")))
    assert (seen.decision, seen.targets) == (Verdict.NEVER, ())
    assert "no node ip-10-0-0-1.ec2.internal" in seen.reason


def test_a_fargate_machine_is_no_node_to_act_on(found: Callable[..., Assessment], nodes: Fleet) -> None:
    node = nodes.node(prefix="fargate-ip", fargate=True, labels={"eks.amazonaws.com/compute-type": "fargate"})
    seen = cordon(found(user=kubelet(node.name)))
    assert seen.decision is Verdict.NEVER
    assert "Fargate" in seen.reason


@pytest.mark.parametrize("compute", ["fargate", "auto"])
def test_a_kubelet_cannot_label_its_node_out_of_reach(
    found: Callable[..., Assessment], nodes: Fleet, compute: str
) -> None:
    """It may write such labels on its own node."""
    node = nodes.node(labels={"eks.amazonaws.com/compute-type": compute})
    plan = found(user=kubelet(node.name)).plan
    acted_on = {s.action for s in plan.steps if s.targets == (node.target,) and s.decision is not Verdict.NEVER}
    assert acted_on >= {"cordon", "protect", "isolate", "snapshot", "terminate"}


@pytest.fixture
def of_instance(
    assess: Callable[..., Assessment], publish: Callable[[JsonObject], None]
) -> Callable[[str], Assessment]:
    """Assess a Runtime finding that names an instance and no container."""

    def run(instance: str) -> Assessment:
        raw = raw_finding(uuid.uuid4().hex)
        raw["Resource"] |= {"ResourceType": "Instance", "InstanceDetails": {"InstanceId": instance}}
        publish(raw)
        return assess(read(raw))

    return run


def test_the_node_of_an_instance_is_found_by_its_provider_id(
    of_instance: Callable[[str], Assessment], nodes: Fleet
) -> None:
    node = nodes.node()
    seen = cordon(of_instance(node.instance_id))
    assert seen.targets == (node.target,)
    assert seen.decision is Verdict.AUTO, seen.reason


def test_an_instance_that_is_no_node_is_left_alone(of_instance: Callable[[str], Assessment]) -> None:
    seen = cordon(of_instance("i-0123456789abcdef0"))
    assert (seen.decision, seen.targets) == (Verdict.NEVER, ())
    assert "no node of this cluster" in seen.reason


@pytest.fixture
def cordoned(admin: KubeApi, stack: StackInfo) -> Iterator[None]:
    """Every other node of the cluster is out of service already."""

    def put(value: bool | None) -> None:
        body = {"spec": {"unschedulable": value}}
        for index in range(stack.nodes):
            path = f"/api/v1/nodes/node-{index}"
            admin.request("PATCH", path, body, content_type="application/merge-patch+json")

    put(True)
    yield
    put(None)


def test_nodes_that_are_out_of_service_count(
    found: Callable[..., Assessment], nodes: Fleet, cordoned: None, stack: StackInfo
) -> None:
    node = nodes.node()
    seen = cordon(found(user=kubelet(node.name)))
    assert seen.decision is Verdict.APPROVAL
    assert f"{stack.nodes + 1} of {stack.nodes + 1} nodes" in seen.reason

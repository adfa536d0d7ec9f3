"""A compromised node, from the finding to its replacement; and one that is cut off and given back (guide N1 to N4)."""

from __future__ import annotations

import uuid

import pytest

from contracts.states import Containment, IncidentState
from devstack.demo_workload import IMAGE
from tests.assess.support import raw_finding
from tests.e2e.incident import eventually, step_state
from tests.e2e.targets import NAME
from tests.e2e.workloads import open_policy, workload
from tests.e2e.world import World, is_held
from tests.node.support import TOLERATION, Fleet, TestNode, deployment_near, fleet

nodes = pytest.fixture(name="nodes")(fleet)


def on(world: World, node: TestNode) -> set[str]:
    """The applications whose pods are on the node."""
    pods = world.items("Pod", fieldSelector=f"spec.nodeName={node.name}")
    return {p["metadata"]["labels"]["app"] for p in pods}


async def test_a_privileged_pod_costs_its_node_after_the_evidence_is_safe(world: World, nodes: Fleet) -> None:
    node = nodes.node()
    near = deployment_near(node, "x", 1)["spec"]["template"]["spec"]["affinity"]
    containers = [{"name": "checkout", "image": IMAGE, "securityContext": {"privileged": True}}]
    world.create(open_policy("open"))
    pod = {"containers": containers, "affinity": near, "tolerations": [TOLERATION]}
    world.create(workload("Deployment", NAME, replicas=1, pod=pod))
    world.create(deployment_near(node, "beside", 2))
    await eventually(lambda: on(world, node) == {NAME, "beside"}, "both run on the node")
    (accused,) = await world.ready(NAME, 1)
    desired = nodes.group()["DesiredCapacity"]

    incident = await world.start(world.finding_about({**accused, "kind": "Pod"}))
    view = await incident.contained()
    assert step_state(view, "node.cordon") == "done"
    await incident.until(lambda v: step_state(v, "node.snapshot") == "done", "snapshots are taken")
    summary = nodes.summary(node)
    assert (summary["cordoned"], summary["protected"], summary["scale-in"]) == (True, True, True)
    assert nodes.groups_of(node) == ["default"], "nobody approved to cut every pod of the node off"
    assert [s["State"] for s in nodes.snapshots(node)] == ["completed"]
    assert nodes.state(node) == "running"
    assert is_held(world.get("Pod", accused["metadata"]["name"]))

    await incident.approve("terminate")
    view = await incident.until(lambda v: step_state(v, "node.terminate") == "done", "the node is terminated")
    assert nodes.state(node) == "terminated"
    assert not nodes.exists(node)
    group = nodes.group()
    assert (group["DesiredCapacity"], len(group["Instances"])) == (desired, desired)
    assert node.instance_id not in {i["InstanceId"] for i in group["Instances"]}
    moved = await world.ready("beside", 2)
    assert all(p["spec"]["nodeName"] != node.name for p in moved)

    await incident.approve("credentials")
    await incident.approve("eradicate")
    view = await incident.until(lambda v: bool(v.tasks), "the accounts of kube-system are somebody's task")
    for task in view.tasks:
        await incident.finish(task.task)
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED, view
    assert step_state(view, "node.isolate") == "skipped"
    assert step_state(view, "node.replace_profile") == "skipped"


async def test_a_node_that_acted_itself_is_contained_only_when_it_is_cut_off(world: World, nodes: Fleet) -> None:
    node = nodes.node()
    before = nodes.summary(node)
    user = {"Username": f"system:node:{node.name}", "Groups": ["system:nodes"]}
    raw = raw_finding(uuid.uuid4().hex, user=user, finding_type="Discovery:Kubernetes/MaliciousIPCaller")
    world.publish(raw)
    incident = await world.start(raw)
    view = await incident.until(lambda v: step_state(v, "node.protect") == "done", "cordoned and protected")
    assert nodes.summary(node)["cordoned"]
    assert view.containment is Containment.INCOMPLETE, "a cordon alone keeps the node on the network"
    assert nodes.groups_of(node) == ["default"]

    await incident.approve("contain")
    view = await incident.contained()
    assert nodes.groups_of(node) == ["firebreak-isolation"]
    assert nodes.summary(node)["profile"] == before["profile"] != ""
    view = await incident.until(lambda v: "node.replace_profile" in v.previews, "the approver sees what would change")
    assert any(before["profile"] in line for line in view.previews["node.replace_profile"])

    await incident.approve("credentials")
    await incident.until(lambda v: step_state(v, "node.replace_profile") == "done", "the role is taken from it")
    assert nodes.summary(node)["profile"] == ""
    assert (nodes.state(node), nodes.exists(node)) == ("running", True)
    view = await incident.release()
    assert view.state is IncidentState.RELEASED
    assert nodes.summary(node) == before

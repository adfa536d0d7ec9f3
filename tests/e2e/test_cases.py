"""Targets of every kind: each has its stated outcome, in the plan or the report and in the cluster."""

from __future__ import annotations

import uuid

import pytest
from temporalio.client import Client

from contracts.states import Containment, IncidentState
from tests.assess.support import account_user, raw_finding
from tests.e2e.conftest import NewWorld
from tests.e2e.incident import eventually, gate_state, step_state
from tests.e2e.processes import WorkerProcess
from tests.e2e.targets import NAME, deployed, uids, warnings
from tests.e2e.workloads import Json, bare_pod, open_policy, workload
from tests.e2e.world import World, is_held

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


async def test_a_pod_without_an_owner_is_held_and_said_to_be_out_of_reach(world: World) -> None:
    """The VPC CNI enforces policies only on pods with an owner: calling this verified would be a lie."""
    world.create(open_policy("open"))
    pod = world.create(bare_pod(NAME))
    await world.ready(NAME, 1)
    incident = await world.start(world.finding_about({**pod, "kind": "Pod"}))
    view = await incident.until(lambda v: step_state(v, "pod.quarantine") == "failed", "said to be incomplete")

    assert view.containment is Containment.INCOMPLETE
    assert any("they have no owner" in r for r in view.reasons)
    assert view.proposals
    assert is_held(world.get("Pod", NAME)), "the labels still hold it"
    assert "nothing starts a replacement" in warnings(view)
    assert step_state(view, "pod.redeploy") == ""
    await incident.collected()
    assert (await incident.approve()).accepted, "no image: there is nothing to put it into"
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED
    assert world.find("Pod", NAME) is None
    assert not world.marks()


async def test_a_pod_on_the_network_of_its_node_is_held_and_its_node_is_proposed(world: World) -> None:
    accused = await deployed(world, "Deployment", ready=1, replicas=1, pod={"hostNetwork": True})
    incident = await world.start(world.finding_about(accused))
    view = await incident.until(lambda v: step_state(v, "pod.quarantine") == "failed", "said to be incomplete")

    (pod,) = world.pods(NAME)
    assert view.containment is Containment.INCOMPLETE
    assert any("network of their node" in r for r in view.reasons)
    assert any(pod["spec"]["nodeName"] in p for p in view.proposals), view.proposals
    assert is_held(pod)
    view = await incident.release()
    assert not world.marks()


async def test_a_static_pod_is_held_and_never_deleted(world: World) -> None:
    """It would come back from the manifest folder of its node."""
    world.create(open_policy("open"))
    annotations = {"kubernetes.io/config.mirror": "abc", "kubernetes.io/config.source": "file"}
    pod = world.create(bare_pod(NAME, annotations=annotations, nodeName="node-0"))
    incident = await world.start(world.finding_about({**pod, "kind": "Pod"}))
    view = await incident.collected()

    assert view.plan is not None
    (delete,) = [s for s in view.plan.steps if s.action == "delete"]
    assert delete.decision.value == "never"
    assert "static pod" in delete.reason
    assert "manifest folder" in warnings(view)
    assert gate_state(view, "eradicate") is None
    await eventually(lambda: is_held(world.get("Pod", NAME)), "it is held all the same")
    await incident.release()
    assert uids([world.get("Pod", NAME)]) == {pod["metadata"]["uid"]}


async def test_a_pod_that_is_gone_before_it_is_looked_at(world: World) -> None:
    """Its owner's pods are only proposed: nobody has said that they are compromised."""
    await deployed(world, "Deployment")
    gone, other = world.pods(NAME)
    raw = world.finding_about({**gone, "kind": "Pod"})
    world.delete("Pod", gone["metadata"]["name"])
    await eventually(lambda: world.find("Pod", gone["metadata"]["name"]) is None, "it is gone")
    await world.ready(NAME, 2)
    # Its controllers still count, so versions are left out.
    before = world.state()

    incident = await world.start(raw)
    await incident.waiting("contain")
    view = await incident.collected()
    assert view.containment is Containment.NONE
    assert "is gone" in warnings(view)
    assert other["metadata"]["uid"] in {p.uid for p in view.pods.inline}
    assert world.state() == before


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
async def test_every_pod_of_a_workload_is_held_and_given_back(world: World, kind: str) -> None:
    count = world.stack.nodes if kind == "DaemonSet" else 2
    accused = await deployed(world, kind, ready=count, **({} if kind == "DaemonSet" else {"replicas": count}))
    world.create(workload("Deployment", "beside", replicas=1))
    await world.ready("beside", 1)
    before, running = world.state(), uids(world.pods())
    incident = await world.start(world.finding_about(accused))
    await incident.contained()
    assert [is_held(p) for p in world.pods(NAME)] == [True] * count
    assert not is_held(world.pods("beside")[0])
    assert (await incident.release()).state is IncidentState.RELEASED
    assert world.state() == before
    assert uids(world.pods()) == running


async def test_every_pod_of_a_service_account_is_held_and_given_back(world: World) -> None:
    account = world.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}})
    world.create(open_policy("open"))
    for name, used in (("one", "robot"), ("two", "robot"), ("three", "default")):
        world.create(workload("Deployment", name, replicas=1, pod={"serviceAccountName": used}))
        await world.ready(name, 1)
    before = world.state()
    raw = raw_finding(uuid.uuid4().hex, user=account_user(world.namespace, "robot", account["metadata"]["uid"]))
    world.publish(raw)

    incident = await world.start(raw)
    await incident.contained()
    assert {p["metadata"]["labels"]["app"]: is_held(p) for p in world.pods()} == {
        "one": True,
        "two": True,
        "three": False,
    }
    view = await incident.release()
    assert view.state is IncidentState.RELEASED
    assert world.state() == before


async def test_another_pod_under_the_name_in_the_finding_is_left_alone(world: World) -> None:
    await deployed(world, "StatefulSet", ready=1, replicas=1)
    (gone,) = world.pods(NAME)
    raw = world.finding_about({**gone, "kind": "Pod"})
    world.delete("Pod", gone["metadata"]["name"])
    await eventually(lambda: uids(world.pods(NAME)) - uids([gone]), "another one under its name")
    (another,) = await world.ready(NAME, 1)
    assert another["metadata"]["name"] == gone["metadata"]["name"]

    incident = await world.start(raw)
    gate = await incident.waiting("contain")
    view = await incident.collected()
    assert "its uid differs" in warnings(view)
    assert not is_held(world.get("Pod", another["metadata"]["name"]))
    assert gate.steps == ("pod.quarantine",)


async def test_a_namespace_that_is_being_deleted(
    new_world: NewWorld, client: Client, shared_worker: WorkerProcess
) -> None:
    """No policy can be created in it: that is said, nothing hangs, and the namespace goes."""
    world = await new_world()
    world.client = client
    accused = await deployed(world, "Deployment", ready=1, replicas=1)
    world.create(_anchor())
    path = f"/api/v1/namespaces/{world.namespace}"
    world.admin.request("DELETE", path)
    await eventually(lambda: world.admin.request("GET", path)["status"]["phase"] == "Terminating", "it terminates")

    incident = await world.start(world.finding_about(accused))
    view = await incident.until(lambda v: v.plan is not None, "assessed")
    assert "being deleted" in warnings(view)
    view = await incident.until(
        lambda v: v.containment in (Containment.INCOMPLETE, Containment.NOT_APPLICABLE), "said what became of it"
    )
    assert view.timings.contained is None
    world.patch("ConfigMap", "anchor", {"metadata": {"finalizers": None}})
    await eventually(lambda: not world.admin.exists(path), "the namespace goes")


def _anchor() -> Json:
    """Keeps a namespace in termination until somebody takes its finalizer away."""
    metadata = {"name": "anchor", "finalizers": ["firebreak.test/anchor"]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}

"""Targets of every kind: each has its stated outcome, in the plan or the report and in the cluster."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.client import Client

from contracts.incidents import IncidentView
from contracts.states import Containment, IncidentState
from devstack import identities
from devstack.demo_workload import CLEAN_IMAGE
from devstack.kube import KubeApi
from tests.e2e.conftest import NewWorld
from tests.e2e.incident import Incident, eventually, gate_state, step_state
from tests.e2e.processes import WorkerProcess
from tests.e2e.workloads import FIXED, VULNERABLE, Json, bare_pod, images_of, open_policy, workload
from tests.e2e.world import World, holders, is_held

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

NAME = "victim"


async def deployed(world: World, kind: str, *, ready: int = 2, **more: Any) -> Json:
    """A workload that a NetworkPolicy opens, once its pods are ready."""
    world.create(open_policy("open"))
    world.create(workload(kind, NAME, **more))
    await world.ready(NAME, ready)
    return {**world.get(kind, NAME), "kind": kind}


async def contained(world: World, accused: Json) -> Incident:
    """The incident about it, once every pod is cut off and the evidence is in."""
    incident = await world.start(world.finding_about(accused))
    await incident.contained()
    await incident.collected()
    return incident


def warnings(view: IncidentView) -> str:
    """What the plan warns of."""
    assert view.plan is not None
    return "\n".join(view.plan.warnings)


def uids(pods: list[Json]) -> set[str]:
    """The identities of pods."""
    return {p["metadata"]["uid"] for p in pods}


ROLLOUTS: dict[str, tuple[str, Json]] = {
    "Deployment": ("Deployment", {}),
    "Deployment, Recreate": ("Deployment", {"spec": {"strategy": {"type": "Recreate"}}}),
    "StatefulSet": ("StatefulSet", {}),
    "StatefulSet, OnDelete": ("StatefulSet", {"spec": {"updateStrategy": {"type": "OnDelete"}}}),
    "DaemonSet": ("DaemonSet", {}),
    "DaemonSet, OnDelete": ("DaemonSet", {"spec": {"updateStrategy": {"type": "OnDelete"}}}),
    "ReplicaSet": ("ReplicaSet", {}),
}


@pytest.mark.parametrize("case", ROLLOUTS)
async def test_each_kind_of_workload_is_rolled_out_and_its_old_pods_are_gone(world: World, case: str) -> None:
    kind, more = ROLLOUTS[case]
    count = world.stack.nodes if kind == "DaemonSet" else 2
    accused = await deployed(world, kind, ready=count, **more)
    old = uids(world.pods(NAME))
    incident = await contained(world, accused)
    assert all(is_held(p) for p in world.pods(NAME))
    assert len(world.pods(NAME)) == count, "held pods keep their workload from making others"

    assert (await incident.approve()).accepted
    view = await incident.result()

    assert view.state is IncidentState.REMEDIATED, view.failures
    new = await world.ready(NAME, count)
    assert not uids(new) & old
    assert all(images_of(p) == FIXED for p in new), "the fixed image where it belongs, and nowhere else"
    assert images_of(world.get(kind, NAME)) == FIXED
    assert world.get("NetworkPolicy", "open")["spec"] == open_policy("open")["spec"]
    assert world.find("NetworkPolicy", "firebreak-quarantine") is None
    assert not [p for p in new if holders(p)]


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
    assert (await incident.approve(image="")).accepted, "no image: there is nothing to put it into"
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
    before = world.objects()

    incident = await world.start(raw)
    await incident.waiting("contain")
    view = await incident.collected()
    assert view.containment is Containment.NONE
    assert "is gone" in warnings(view)
    assert other["metadata"]["uid"] in {p.uid for p in view.pods.inline}
    assert world.objects() == before


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


async def test_pods_that_vanish_while_they_are_contained(world: World) -> None:
    """The node's record goes, and with it the pods: the repair is made all the same, and says that they were gone."""
    accused = await deployed(world, "Deployment")
    incident = await contained(world, accused)
    vanished = world.pods(NAME)
    for pod in vanished:
        _remove_as_kubelet(world, pod)
    await eventually(lambda: not uids(world.pods(NAME)) & uids(vanished), "both are gone")

    assert (await incident.approve()).accepted
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED
    assert any(s.step == "pod.delete" and "gone already" in s.detail for s in view.steps), view.steps
    assert all(images_of(p) == FIXED for p in await world.ready(NAME, 2))
    assert world.find("NetworkPolicy", "firebreak-quarantine") is None


def _remove_as_kubelet(world: World, pod: Json) -> None:
    """A kubelet removes the record of a pod that has ended; the admission policies leave kubelets alone."""
    kubelet = KubeApi.from_kubeconfig(world.stack.state_dir / "kubeconfigs" / f"{identities.KUBELETS}.yaml")
    world.delete("Pod", pod["metadata"]["name"], by=kubelet)


async def test_a_workload_that_is_scaled_to_zero_gets_the_fixed_template(world: World) -> None:
    accused = await deployed(world, "Deployment", ready=0, replicas=0)
    incident = await world.start(world.finding_about(accused))
    gate = await incident.waiting()
    view = await incident.view()
    assert "scaled to zero" in warnings(view)
    assert gate.needs_image
    assert not world.marks(), "there is nothing to contain"

    assert (await incident.approve()).accepted
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED, view.failures
    live = world.get("Deployment", NAME)
    assert images_of(live) == FIXED
    assert live["spec"]["replicas"] == 0
    assert not world.pods(NAME)


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


async def test_a_rollout_that_fails_is_rolled_back_and_asks_again(world: World) -> None:
    accused = await deployed(world, "Deployment", spec={"progressDeadlineSeconds": 3})
    await world.allow_no_more_pods()
    old = uids(world.pods(NAME))
    incident = await contained(world, accused)
    first = await incident.waiting()
    assert (await incident.decide(incident.decision(first))).accepted
    view = await incident.until(lambda v: step_state(v, "pod.redeploy") == "failed", "the rollout failed")

    assert any("no progress within its deadline" in f.message for f in view.failures)
    assert images_of(world.get("Deployment", NAME)) == VULNERABLE
    assert step_state(view, "pod.delete") == "planned"
    await eventually(lambda: all(is_held(p) for p in world.pods(NAME)), "what was not replaced is held again")
    assert uids(world.pods(NAME)) == old
    again = await incident.waiting()
    assert again.nonce != first.nonce
    assert not (await incident.decide(incident.decision(first))).accepted, "the first approval is spent"
    await incident.contained()

    world.admin.request("DELETE", f"/api/v1/namespaces/{world.namespace}/resourcequotas/few")
    assert (await incident.decide(incident.decision(again))).accepted
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED
    assert all(images_of(p) == FIXED for p in await world.ready(NAME, 2))


async def test_a_workload_repaired_before_can_still_be_rolled_back(world: World) -> None:
    """What an incident that is over has done to a workload does not bind the next one."""
    accused = await deployed(world, "Deployment", spec={"progressDeadlineSeconds": 3})
    first = await contained(world, accused)
    assert (await first.approve()).accepted
    assert (await first.result()).state is IncidentState.REMEDIATED
    await world.ready(NAME, 2)

    second = await contained(world, {**world.get("Deployment", NAME), "kind": "Deployment"})
    await world.allow_no_more_pods()
    newer = CLEAN_IMAGE.rpartition(":")[0] + ":" + "9" * 64
    assert (await second.approve(image=newer)).accepted
    await second.until(lambda v: step_state(v, "pod.redeploy") == "failed", "the rollout failed")

    assert images_of(world.get("Deployment", NAME)) == FIXED
    await second.waiting()
    view = await second.release()
    assert not [n for n in view.notes if "held by" in n], "nothing is kept for the incident that is over"
    assert images_of(world.get("Deployment", NAME)) == FIXED
    assert holders(world.get("Deployment", NAME)) == [first.id], "its repair stands, and stays on record"
    assert not [name for name in world.marks() if not name.startswith("Deployment")]

"""Repairs of workloads of every kind, and repairs that fail: what becomes of the workload and of its pods."""

from __future__ import annotations

import pytest

from contracts.states import IncidentState
from devstack import identities
from devstack.demo_workload import CLEAN_IMAGE
from devstack.kube import KubeApi
from tests.e2e.incident import eventually, step_state
from tests.e2e.targets import NAME, contained, deployed, uids, warnings
from tests.e2e.workloads import FIXED, VULNERABLE, Json, images_of, open_policy
from tests.e2e.world import World, holders, is_held

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

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

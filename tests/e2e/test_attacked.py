"""Somebody works against the containment: an administrator of the namespace, a controller, and forged findings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.activities import SweepRequest
from contracts.incidents import IncidentView
from contracts.names import HOT_QUEUE, QUARANTINED_LABEL, WorkflowName
from contracts.states import Containment, IncidentState
from devstack.demo_workload import NAME, DemoWorkload, deploy_demo_workload
from devstack.kube import KubeApi, KubeError
from tests.e2e.conftest import NewWorld
from tests.e2e.incident import Incident, eventually, gate_state, step_state
from tests.e2e.processes import Zygote
from tests.e2e.relay import Call, kubeconfig_through, relay_of_cluster
from tests.e2e.workloads import Json, open_policy
from tests.e2e.world import World, holders, is_held

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

Attempt = Callable[[World, KubeApi, str], object]


@pytest.fixture
def workload(world: World, admin: KubeApi) -> DemoWorkload:
    return deploy_demo_workload(admin, namespace=world.namespace, replicas=2)


async def contain(world: World, pod: str) -> Incident:
    """A pod that is contained, with its evidence in."""
    incident = await world.start(world.finding_about(world.get("Pod", pod)))
    await incident.contained()
    await incident.collected()
    return incident


def _path(world: World, pod: str, subresource: str = "") -> str:
    return f"/api/v1/namespaces/{world.namespace}/pods/{pod}{subresource}"


def _evict(world: World, person: KubeApi, pod: str) -> object:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    return person.request("POST", _path(world, pod, "/eviction"), body)


def _exec(world: World, person: KubeApi, pod: str) -> object:
    # Admission comes before the refusal of a request that does not upgrade its connection.
    return person.request("GET", _path(world, pod, "/exec"), query={"command": "id"})


ATTEMPTS: dict[str, Attempt] = {
    "unlabel": lambda w, by, pod: w.patch("Pod", pod, {"metadata": {"labels": {QUARANTINED_LABEL: None}}}, by=by),
    "relabel": lambda w, by, pod: w.patch("Pod", pod, {"metadata": {"labels": {"app": "other"}}}, by=by),
    "rewrite the holders": lambda w, by, pod: w.patch(
        "Pod", pod, {"metadata": {"annotations": {"firebreak.dev/incidents": "[]"}}}, by=by
    ),
    "exec": _exec,
    "evict": _evict,
    "delete": lambda w, by, pod: w.delete("Pod", pod, by=by),
    "delete our policy": lambda w, by, _: w.delete("NetworkPolicy", "firebreak-quarantine", by=by),
    "open our policy": lambda w, by, _: w.patch(
        "NetworkPolicy", "firebreak-quarantine", {"spec": {"egress": [{}]}}, by=by
    ),
}


def status_of(attempt: Attempt, world: World, person: KubeApi, pod: str) -> int:
    """The HTTP status of an attempt; 200 when it went through."""
    try:
        attempt(world, person, pod)
    except KubeError as error:
        return error.status
    return 200


async def test_an_administrator_of_the_namespace_cannot_free_or_destroy_a_held_pod(
    world: World, workload: DemoWorkload, namespace_admin: KubeApi
) -> None:
    accused, other = workload.pods
    # A ReplicaSet that must delete one of its pods may choose the held one again and again; the cost makes it choose
    # the other.
    cost = {"controller.kubernetes.io/pod-deletion-cost": "2147483647"}
    world.patch("Pod", accused.name, {"metadata": {"annotations": cost}})
    assert status_of(_exec, world, namespace_admin, accused.name) != 403, "before the incident he may"
    incident = await contain(world, accused.name)
    # The API server learns of a held pod by a watch.
    await eventually(lambda: status_of(_exec, world, namespace_admin, accused.name) == 403, "exec is denied", 15)
    held = world.get("Pod", accused.name)
    statuses = {what: status_of(attempt, world, namespace_admin, accused.name) for what, attempt in ATTEMPTS.items()}
    assert statuses == dict.fromkeys(ATTEMPTS, 403)
    assert world.get("Pod", accused.name) == held
    assert status_of(_exec, world, namespace_admin, other.name) != 403, "only the held pod is closed"

    _restart(world, namespace_admin)
    await eventually(lambda: world.find("Pod", other.name) is None, "the rollout replaces the other pod")
    _scale(world, namespace_admin, 0)
    await eventually(lambda: [p["metadata"]["name"] for p in world.pods(NAME)] == [accused.name], "all others end")
    assert world.get("Pod", accused.name)["metadata"]["uid"] == accused.uid
    assert (await incident.view()).containment is Containment.VERIFIED

    await incident.release()
    await eventually(lambda: world.find("Pod", accused.name) is None, "what was asked for happens after the release")
    assert not world.marks()


async def test_after_the_release_the_administrator_may_do_everything_again(
    world: World, workload: DemoWorkload, namespace_admin: KubeApi
) -> None:
    accused = workload.pods[0].name
    incident = await contain(world, accused)
    await incident.release()
    await eventually(lambda: status_of(_exec, world, namespace_admin, accused) != 403, "exec is allowed again", 15)
    assert status_of(_evict, world, namespace_admin, accused) in (200, 201)


def _restart(world: World, person: KubeApi) -> None:
    annotations = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    world.patch("Deployment", NAME, {"spec": {"template": {"metadata": {"annotations": annotations}}}}, by=person)


def _scale(world: World, person: KubeApi, replicas: int) -> None:
    world.patch("Deployment", NAME, {"spec": {"replicas": replicas}}, by=person)


class Controller:
    """A GitOps controller, played: it puts the selector of a policy back at the very moment at which it was changed."""

    def __init__(self, world: World, person: KubeApi, policy: str) -> None:
        self.path = f"/apis/networking.k8s.io/v1/namespaces/{world.namespace}/networkpolicies/{policy}"
        self._wanted = world.get("NetworkPolicy", policy)["spec"]["podSelector"]
        self._person = person
        self.suspended = False
        self.deeds = 0

    def heed(self, call: Call) -> bool:
        """The hook of a relay before the API server."""
        if call.made and call.path == self.path and not self.suspended:
            self.put_back()
        return True

    def put_back(self) -> None:
        """Write the policy as it stands in the repository."""
        body = [{"op": "replace", "path": "/spec/podSelector", "value": self._wanted}]
        self._person.request("PATCH", self.path, body, content_type="application/json-patch+json")
        self.deeds += 1


async def test_a_controller_that_puts_a_selector_back_makes_containment_incomplete(
    new_world: NewWorld, zygote: Zygote, admin: KubeApi, namespace_admin: KubeApi, tmp_path: Path
) -> None:
    world = await new_world()
    pod = deploy_demo_workload(admin, namespace=world.namespace, replicas=2).pods[0].name
    policy = f"allow-{NAME}"
    controller = Controller(world, namespace_admin, policy)
    with relay_of_cluster(world.stack.kubeconfig) as relay:
        relay.after = controller.heed
        kubeconfig = kubeconfig_through(relay, world.stack.kubeconfig, tmp_path)
        worker = zygote.start(world.environment(KUBECONFIG=str(kubeconfig)))
        incident = await world.start(world.finding_about(world.get("Pod", pod)))
        view = await incident.until(lambda v: step_state(v, "pod.quarantine") == "failed", "given up for now")
        assert view.containment is Containment.INCOMPLETE
        assert view.timings.contained is None, "it was never called verified"
        assert any(f"{world.namespace}/{policy}" in reason and "put back" in reason for reason in view.reasons)
        assert any(policy in proposal for proposal in view.proposals)
        assert controller.deeds
        assert is_held(world.get("Pod", pod)), "what can be done is done"

        # The controller is suspended, as proposed, and the incident gets there by itself.
        controller.suspended = True
        view = await incident.contained()
        assert view.reasons == ()
        assert view.timings.contained is not None

        # It goes on: what was verified is not called so any longer as soon as Firebreak has looked.
        controller.suspended = False
        controller.put_back()
        await _sweep(world)
        view = await incident.until(lambda v: v.containment is Containment.INCOMPLETE, "incomplete again", 15)
        assert any("put back" in reason for reason in view.reasons)
        await world.close()
        worker.kill()


async def test_a_policy_that_opens_a_contained_pod_is_found_by_the_sweep_and_closed(
    world: World, workload: DemoWorkload, namespace_admin: KubeApi
) -> None:
    incident = await contain(world, workload.pods[0].name)
    assert (await _sweep(world)).get(incident.id) is None, "nothing is broken"
    path = f"/apis/networking.k8s.io/v1/namespaces/{world.namespace}/networkpolicies"
    namespace_admin.request("POST", path, open_policy("backdoor"))
    before = (await incident.view()).last_observed

    # The worker's own sweep comes once a minute, and may be first.
    await _sweep(world)

    view = await incident.until(lambda v: v.last_observed != before, "the incident hears of it")
    assert any("containment broke" in note and "backdoor" in note for note in view.notes)
    await eventually(lambda: holders(world.get("NetworkPolicy", "backdoor")) == [incident.id], "the policy is closed")
    view = await incident.contained()
    assert any(c.resource.name == "backdoor" for c in view.changes), "the change is on record, for the release"
    assert (await _sweep(world)).get(incident.id) is None

    await incident.release()
    assert world.get("NetworkPolicy", "backdoor")["spec"] == open_policy("backdoor")["spec"]


async def _sweep(world: World) -> dict[str, str]:
    result: Json = await world.client.execute_workflow(
        WorkflowName.SWEEP_CONTAINMENT.value,
        SweepRequest(cluster=world.stack.cluster),
        id=f"sweep-{world.namespace}-{asyncio.get_running_loop().time()}",
        task_queue=HOT_QUEUE,
    )
    return dict(result["broken"])


async def test_a_finding_that_guardduty_does_not_confirm_changes_nothing_by_itself(
    world: World, workload: DemoWorkload
) -> None:
    before, pods = world.state(), world.items("Pod")
    raw = world.finding_about(world.get("Pod", workload.pods[0].name), publish=False)
    incident = await world.start(raw)
    gate = await incident.waiting("contain")
    view = await incident.collected()

    assert view.state is IncidentState.AWAITING_APPROVAL
    assert view.containment is Containment.NONE
    assert view.plan is not None
    assert any("GuardDuty has not confirmed" in step.reason for step in view.plan.steps if step.gate is not None)
    # The workload's controllers may still be counting; nobody else writes to its pods.
    assert world.state() == before
    assert world.items("Pod") == pods, "not one byte of any pod, resourceVersions included"

    assert (await incident.decide(incident.decision(gate, reason="I saw it myself"))).accepted
    view = await incident.contained()
    assert is_held(world.get("Pod", workload.pods[0].name))
    assert gate_state(view, "eradicate") is not None


async def test_a_forged_copy_cannot_move_a_confirmed_finding_to_another_pod(
    world: World, workload: DemoWorkload
) -> None:
    """The message in the queue names another pod than GuardDuty does, under the id of a true finding."""
    accused, innocent = (world.get("Pod", p.name) for p in workload.pods)
    raw = world.finding_about(accused)
    forged = json.loads(json.dumps(raw))
    details = forged["Resource"]["KubernetesDetails"]["KubernetesWorkloadDetails"]
    details |= {"Name": innocent["metadata"]["name"], "Uid": innocent["metadata"]["uid"]}

    view: IncidentView = await (await world.start(forged)).contained()

    assert [p.uid for p in view.pods.inline] == [accused["metadata"]["uid"]]
    assert not is_held(world.get("Pod", innocent["metadata"]["name"]))
    assert is_held(world.get("Pod", accused["metadata"]["name"]))

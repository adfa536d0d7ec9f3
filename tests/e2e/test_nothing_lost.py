"""Nothing lost: one incident however often a finding comes, and containment that outlives what it depends on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.states import Containment, IncidentState
from devstack.demo_workload import NAME, deploy_demo_workload
from devstack.kube import KubeApi
from devstack.stack import start_process, stop_process
from evidence.verify import verify
from intake.start import StartResult
from tests.e2e.conftest import NewWorld
from tests.e2e.incident import eventually, key_of, step_state
from tests.e2e.processes import Zygote
from tests.e2e.relay import Call, Relay, kubeconfig_through, relay_of_cluster
from tests.e2e.world import World, holders, is_held

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]


async def test_the_same_finding_handed_in_many_times_at_once_is_one_incident(world: World, admin: KubeApi) -> None:
    workload = deploy_demo_workload(admin, namespace=world.namespace, replicas=2)
    raw = world.finding_about(world.get("Pod", workload.pods[0].name))
    outcomes = await asyncio.gather(*(world.hand_in(raw) for _ in range(8)))

    assert [o.result for o in outcomes].count(StartResult.STARTED) == 1
    assert {o.result for o in outcomes} <= {StartResult.STARTED, StartResult.ATTACHED, StartResult.OBSERVED}
    assert len({(o.incident, o.run_id) for o in outcomes}) == 1
    incident = world.incident(outcomes[0].incident)
    await incident.contained()
    view = await incident.collected()
    pod = world.get("Pod", workload.pods[0].name)
    assert holders(pod) == [incident.id]
    assert holders(world.get("NetworkPolicy", "firebreak-quarantine")) == [incident.id]
    assert len({c.key for c in view.changes}) == len(view.changes) == 3, "one policy, one selector, one label"

    again = await world.hand_in(raw)
    assert again.result is StartResult.ATTACHED
    await incident.release()
    closed = await world.hand_in(raw)
    assert closed.result is StartResult.CLOSED, "nothing was seen since it ended"
    assert not world.marks()


@pytest.fixture
async def relayed(new_world: NewWorld, zygote: Zygote, tmp_path: Path) -> AsyncIterator[tuple[World, Relay, Relay]]:
    """A world whose worker reaches the cluster and AWS by way of relays."""
    world = await new_world()
    with relay_of_cluster(world.stack.kubeconfig) as cluster, Relay(world.stack.aws_endpoint) as aws:
        kubeconfig = kubeconfig_through(cluster, world.stack.kubeconfig, tmp_path)
        worker = zygote.start(world.environment(KUBECONFIG=str(kubeconfig), AWS_ENDPOINT_URL=aws.url))
        yield world, cluster, aws
        await world.close()
        worker.kill()


async def test_an_api_server_that_goes_away_in_the_middle_of_containment(
    relayed: tuple[World, Relay, Relay], admin: KubeApi
) -> None:
    world, cluster, _ = relayed
    workload = deploy_demo_workload(admin, namespace=world.namespace, replicas=2)
    before = world.state()
    gone = threading.Event()

    def lose(call: Call) -> bool:
        """The API server ends when the second change is on its way: the deny-all policy stands, nothing else does."""
        if call.method == "PATCH" and "networkpolicies" in call.path and not gone.is_set():
            stop_process(world.stack.name, "kube-apiserver")
            gone.set()
        return True

    cluster.before = lose
    incident = await world.start(world.finding_about(world.get("Pod", workload.pods[0].name)))
    try:
        await eventually(gone.is_set, "the API server is gone")
        view = await incident.until(lambda v: bool(v.reasons) or step_state(v, "pod.quarantine") == "running", "tried")
        assert view.containment in (Containment.NONE, Containment.INCOMPLETE)
        assert view.timings.contained is None
    finally:
        await asyncio.to_thread(_bring_back, world)
    view = await incident.contained()

    assert is_held(world.get("Pod", workload.pods[0].name))
    assert holders(world.get("NetworkPolicy", f"allow-{NAME}")) == [incident.id]
    assert len({c.key for c in view.changes}) == len(view.changes) == 3
    await incident.collected()
    await incident.release()
    assert world.state() == before


def _bring_back(world: World) -> None:
    """The API server, and the controllers, which would leave it alone for up to a minute after they missed it."""
    start_process(world.stack.name, "kube-apiserver")
    for controller in ("kube-controller-manager", "kube-scheduler", "kwok"):
        stop_process(world.stack.name, controller)
        start_process(world.stack.name, controller)


async def test_an_evidence_store_that_is_away_does_not_delay_containment(
    relayed: tuple[World, Relay, Relay], admin: KubeApi
) -> None:
    world, _, aws = relayed
    workload = deploy_demo_workload(admin, namespace=world.namespace, replicas=2)
    bucket = world.stack.evidence.removeprefix("s3://")
    refused: list[Call] = []

    def away(call: Call) -> bool:
        if call.path.startswith(f"/{bucket}"):
            refused.append(call)
            return False
        return True

    aws.before = away
    incident = await world.start(world.finding_about(world.get("Pod", workload.pods[0].name)))
    view = await incident.contained()
    assert is_held(world.get("Pod", workload.pods[0].name))
    await eventually(lambda: len(refused) > 2, "the store was tried")
    view = await incident.view()
    assert view.containment is Containment.VERIFIED
    assert step_state(view, "pod.collect") == "running"
    assert world.find("Pod", workload.pods[0].name) is not None

    assert (await incident.approve()).accepted
    tried = len(refused)
    await eventually(lambda: len(refused) > tried, "the store was tried once more")
    assert is_held(world.get("Pod", workload.pods[0].name)), "nothing is deleted before its evidence is in"
    view = await incident.view()
    assert not {step_state(view, s) for s in ("pod.redeploy", "pod.delete")} & {"running", "done"}

    aws.before = lambda _: True
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED
    found = verify(world.evidence(), key_of(view).evidence_prefix, view.evidence.manifest_sha256)
    assert found.ok, found.problems
    assert found.failed_collectors == 0

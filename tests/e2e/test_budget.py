"""Attackers can cause findings: a flood of them must not make Firebreak take the cluster down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from contracts.names import CONTROL_CONFIGMAP
from contracts.states import Containment, GateState
from devstack.kube import KubeApi, KubeError
from tests.e2e.conftest import NewWorld
from tests.e2e.incident import Incident, eventually, gate_state
from tests.e2e.processes import Zygote
from tests.e2e.workloads import Json, workload
from tests.e2e.world import World, holders, is_held, is_ready

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(600)]

FINDINGS, PODS, NAMESPACES = 100, 10, 4
CLUSTER_BUDGET, NAMESPACE_BUDGET = 20, 10
"""The design's numbers, which are the defaults of the policy."""
_CONTROL = f"/api/v1/namespaces/firebreak/configmaps/{CONTROL_CONFIGMAP}"


@pytest.fixture
def unspent(admin: KubeApi) -> Iterator[None]:
    """No containment in the last hour, and none afterwards that other tests would pay for."""

    def forget() -> None:
        with suppress(KubeError):
            admin.request("DELETE", _CONTROL)

    forget()
    yield
    forget()


async def test_a_hundred_findings_of_ten_pods_spend_the_budget_and_the_others_wait(
    new_world: NewWorld, zygote: Zygote, unspent: None, tmp_path: Path
) -> None:
    """A hundred workloads in four namespaces; twenty findings may act on their own."""
    worlds = [await new_world() for _ in range(NAMESPACES)]
    for world in worlds[1:]:
        # One installation, and so one Temporal namespace.
        world.client = worlds[0].client
    policy = tmp_path / "defaults.yaml"
    policy.write_text("# Nothing: every number is the default.\n")
    # A folder for the evidence of a thousand pods, because the stand-in for S3 would take most of the test.
    evidence = tmp_path / "evidence"
    worker = zygote.start(worlds[0].environment(FIREBREAK_POLICY=str(policy), FIREBREAK_EVIDENCE=str(evidence)))
    accused = [(world, name) for world in worlds for name in _deploy(world, FINDINGS // NAMESPACES)]
    for world in worlds:
        await eventually(lambda world=world: _all_ready(world), "all pods ready", 300)  # type: ignore[misc]

    started = await asyncio.gather(*(_attack(world, name) for world, name in accused))
    incidents = {incident.id: incident for incident in started}
    assert len(incidents) == FINDINGS
    contained, waiting = set(), set()
    for incident in started:
        view = await incident.until(
            lambda v: v.containment is Containment.VERIFIED or gate_state(v, "contain") is GateState.WAITING,
            "contained, or waiting for a person",
            300,
        )
        assert view.plan is not None
        if gate_state(view, "contain") is GateState.WAITING:
            waiting.add(incident.id)
            assert view.containment is Containment.NONE
            reasons = [r for terms in view.plan.gates if terms.gate.value == "contain" for r in terms.reasons]
            assert any("budget" in r for r in reasons), reasons
        else:
            contained.add(incident.id)

    assert len(contained) == CLUSTER_BUDGET
    assert len(waiting) == FINDINGS - CLUSTER_BUDGET
    pods = [p for world in worlds for p in world.items("Pod")]
    held = [p for p in pods if is_held(p)]
    assert len(held) == CLUSTER_BUDGET * PODS
    assert {h for p in held for h in holders(p)} == contained
    assert not [p for p in pods if not is_held(p) and holders(p)], "no pod of the others was touched"
    for world in worlds:
        here = {h for p in world.items("Pod") for h in holders(p)}
        assert len(here) <= NAMESPACE_BUDGET

    # A person may still contain what the budget does not.
    patient = incidents[sorted(waiting)[0]]
    assert (await patient.approve("contain")).accepted
    await patient.contained()
    assert len([p for world in worlds for p in world.items("Pod") if is_held(p)]) == (CLUSTER_BUDGET + 1) * PODS
    assert len(_reserved(worlds[0].admin)) == CLUSTER_BUDGET, "what a person approves does not spend the budget"
    for world in worlds:
        await world.close()
    worker.kill()


def _deploy(world: World, count: int) -> list[str]:
    names = [f"victim-{i:02}" for i in range(count)]
    for name in names:
        world.create(workload("Deployment", name, replicas=PODS))
    return names


def _all_ready(world: World) -> bool:
    pods = world.items("Pod")
    return len(pods) == FINDINGS // NAMESPACES * PODS and all(is_ready(p) for p in pods)


async def _attack(world: World, name: str) -> Incident:
    raw: Json = world.finding_about(world.get("Deployment", name))
    return await world.start(raw)


def _reserved(admin: KubeApi) -> dict[str, object]:
    return dict(json.loads(admin.request("GET", _CONTROL)["data"]["reservations"]))

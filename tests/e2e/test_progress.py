"""How far a collection is, while it is held at what it collects and people ask by command."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from devstack.demo_workload import deploy_demo_workload
from devstack.kube import KubeApi
from tests.e2e.conftest import NewWorld
from tests.e2e.incident import eventually_async, step_state
from tests.e2e.processes import Zygote
from tests.e2e.relay import Call, Relay
from tests.e2e.world import World

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]


@pytest.fixture
async def relayed(new_world: NewWorld, zygote: Zygote, tmp_path: Path) -> AsyncIterator[tuple[World, Relay]]:
    """A world whose worker reaches its evidence store by way of a relay."""
    world = await new_world()
    with Relay(world.stack.aws_endpoint) as aws:
        worker = zygote.start(world.environment(AWS_ENDPOINT_URL=aws.url))
        yield world, aws
        await world.close()
        worker.kill()


async def test_show_tells_how_a_collection_grows_and_nothing_when_it_is_over(
    relayed: tuple[World, Relay], admin: KubeApi
) -> None:
    world, aws = relayed
    workload = deploy_demo_workload(admin, namespace=world.namespace, replicas=2)
    held = {name: threading.Event() for name in ("manifest.json", "node.json")}

    def hold(call: Call) -> bool:
        """The first pod's wave is held at one file, until the test has seen what the other pod has brought."""
        if call.method == "PUT" and f"/pods/{workload.pods[0].uid}/" in call.path:
            gate = held.get(call.path.rpartition("/")[2])
            if gate is not None:
                gate.wait(40)
        return True

    aws.before = hold
    try:
        raw = world.finding_about(world.get("Deployment", workload.deployment))
        incident = await world.start(raw)

        async def said(enough: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
            found: list[dict[str, Any]] = []

            async def look() -> bool:
                document = await world.firebreak("show", incident.id)
                found[:] = document["collection"]
                return bool(found) and enough(found[0])

            try:
                await eventually_async(look, what)
            except AssertionError as error:
                raise AssertionError(f"{error}: {found}") from None
            return found[0]

        first = await said(lambda c: bool(c["parts"]), "the other pod's first wave is over")
        assert (first["step"], first["wave"], first["pods"], first["parts"]) == ("pod.collect", "volatile", 2, 1)
        assert first["waves"] == ["volatile", "lasting"]
        assert first["artefacts"] > 1
        assert first["bytes"] > 100
        held["manifest.json"].set()
        second = await said(lambda c: c["wave"] == "lasting" and c["parts"] == 3, "its second wave is over")
        assert second["artefacts"] > first["artefacts"]
        assert second["bytes"] > first["bytes"]
    finally:
        for gate in held.values():
            gate.set()
    view = await incident.collected()
    document = await world.firebreak("show", incident.id)
    assert document["collection"] == []
    [detail] = [s["detail"] for s in document["steps"] if s["step"] == "pod.collect"]
    assert "artefacts collected, " in detail
    assert step_state(view, "pod.collect") == "done"
    assert int(detail.split()[0]) > second["artefacts"]
    await incident.release()

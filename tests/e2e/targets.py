"""Workloads under attack, and incidents about them, as the tests of single cases need them."""

from __future__ import annotations

from typing import Any

from contracts.incidents import IncidentView
from tests.e2e.incident import Incident
from tests.e2e.workloads import Json, open_policy, workload
from tests.e2e.world import World

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

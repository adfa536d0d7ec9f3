"""One image in many namespaces: how long until every pod that runs it is contained and it is refused everywhere?"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from temporalio.client import Client

from bench.arena import Arena, Target
from bench.incidents import follow, is_contained, start
from bench.processes import peak_memory
from bench.results import MB, Result, Row, ms
from contracts.incidents import PathProgress, ReleaseOrder
from contracts.names import Handler
from devstack.demo_workload import IMAGE
from plans.model import Path

NAME = "image"
FACTOR = 2
_PATIENCE = 1800.0
_TYPE = "Execution:Kubernetes/MaliciousFile"


@dataclass(frozen=True)
class Spread:
    """What one spread came to. Events and bytes are of the incident and both of its paths."""

    namespaces: int
    pods: int
    seconds: float
    events: int
    bytes: int
    events_released: int
    peak_bytes: int

    @property
    def each(self) -> float:
        """Seconds a pod."""
        return self.seconds / self.pods


async def measure(arena: Arena, *, quick: bool) -> Result:
    """Contain an image that runs in a few namespaces, then one that runs in many; each from a finding about one pod."""
    few, many = ((2, 3), (4, 60)) if quick else ((2, 5), (40, 50))
    async with arena.worker() as pid:
        sizes = [await _one(arena, pid, "few", *few), await _one(arena, pid, "many", *many)]
    first, last = sizes
    rows = [
        Row(
            f"{s.pods:,} pods in {s.namespaces} namespaces: call → contained",
            ms(s.seconds),
            f"{s.each * 1000:.1f} ms a pod · {s.events} events, {s.bytes / 1000:.0f} kB · "
            f"{s.events_released} events with the release · peak {s.peak_bytes / MB:.0f} MB",
        )
        for s in sizes
    ]
    # Only at the end have both done the same: at the moment of containment one may be ahead with what only reads.
    ratio = last.events_released / first.events_released
    rows.append(
        Row(
            f"events with the release, {last.pods:,} pods against {first.pods}",
            f"{ratio:.2f} x",
            "",
            f"≤ {FACTOR} x",
            ratio <= FACTOR,
        )
    )
    return Result(NAME, rows, figures={"spreads": [asdict(s) for s in sizes]})


async def _one(arena: Arena, pid: int, word: str, namespaces: int, replicas: int) -> Spread:
    names = [f"image-{word}-{i}" for i in range(namespaces)]
    targets = arena.deploy(names, replicas)
    [finding] = arena.publish([_about_image(arena, targets[names[0]][0])])
    begun = await start(arena.client, finding)
    progress = await follow(arena.client, begun.workflow_id, _image_contained)
    assert progress.contained_at is not None
    events, size = await _histories(arena.client, begun.workflow_id)
    peak = peak_memory(pid)
    handle = arena.client.get_workflow_handle(begun.workflow_id)
    await handle.signal(Handler.RELEASE.value, ReleaseOrder(by="bench", reason="measured"))
    async with asyncio.timeout(_PATIENCE):
        await handle.result()
    after, _ = await _histories(arena.client, begun.workflow_id)
    # The next spread is to find its own pods only.
    for name in names:
        arena.admin.request("DELETE", f"/api/v1/namespaces/{name}")
    await asyncio.to_thread(_await_gone, arena, names)
    seconds = (progress.contained_at - begun.called).total_seconds()
    return Spread(namespaces, namespaces * replicas, seconds, events, size, after, peak)


def _about_image(arena: Arena, target: Target) -> dict[str, Any]:
    """The finding about a pod, made one about what its image holds."""
    raw = arena.finding(target)
    raw["Type"] = _TYPE
    workload = raw["Resource"]["KubernetesDetails"]["KubernetesWorkloadDetails"]
    workload["Containers"] = [{"Name": target.workload.deployment, "Image": IMAGE}]
    return raw


def _image_contained(progress: PathProgress) -> bool:
    return progress.path is Path.IMAGE and is_contained(progress)


def _await_gone(arena: Arena, names: list[str]) -> None:
    from devstack.processes import poll

    poll(
        "the namespaces to go",
        lambda: not any(arena.admin.exists(f"/api/v1/namespaces/{n}") for n in names),
        _PATIENCE,
    )


async def _histories(client: Client, workflow_id: str) -> tuple[int, int]:
    """Events and bytes of the incident and its paths together."""
    events = size = 0
    for name in (workflow_id, f"{workflow_id}/pod", f"{workflow_id}/image"):
        described = (await client.get_workflow_handle(name).describe()).raw_description.workflow_execution_info
        events += described.history_length
        size += described.history_size_bytes
    return events, size

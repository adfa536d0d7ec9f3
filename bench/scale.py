"""5, 500 and 5,000 pods of one workload: does the history stay small, and does a pod get cheaper?"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from rich.table import Table
from temporalio.client import Client

from bench.arena import Arena, Target
from bench.incidents import PHASES, follow, is_contained, phases, start
from bench.processes import cpu_seconds, peak_memory
from bench.results import MB, Result, Row, ms
from clients.paths import object_path
from contracts.incidents import ReleaseOrder
from contracts.names import Handler

NAME = "scale"
FACTOR = 2
_PATIENCE = 1800.0


@dataclass(frozen=True)
class Size:
    """What one size came to. Events and bytes are of both histories, parent and path."""

    pods: int
    seconds: float
    events: int
    bytes: int
    events_released: int
    bytes_released: int
    peak_bytes: int
    assess: float
    isolate: float
    verify: float
    cpu: dict[str, float]
    """Processor seconds of each process until the containment was verified."""

    @property
    def each(self) -> float:
        """Seconds a pod."""
        return self.seconds / self.pods


async def measure(arena: Arena, *, quick: bool) -> Result:
    """Contain all pods of a Deployment from one finding about it, then release; the smallest first."""
    counts = (5, 50, 250) if quick else (5, 500, 5000)
    async with arena.worker() as pid:
        [warm] = arena.deploy(["scale-warm"], 5).values()
        await _one(arena, warm, pid)
        sizes = []
        for count in counts:
            [targets] = arena.deploy([f"scale-{count}"], count).values()
            sizes.append(await _one(arena, targets, pid))
    few, many = sizes[0], sizes[-1]
    falling = all(b.each < a.each for a, b in pairwise(sizes))
    rows = [
        Row(
            f"{size.pods:,} pods: call → contained",
            ms(size.seconds),
            f"{size.each * 1000:.1f} ms a pod · {size.events} events, {size.bytes / 1000:.0f} kB · "
            f"assess {ms(size.assess)}, isolate {ms(size.isolate)}, verify {ms(size.verify)} · "
            f"peak {size.peak_bytes / MB:.0f} MB",
        )
        for size in sizes
    ]
    rows += [
        Row(
            f"events, {many.pods:,} pods against {few.pods}",
            f"{many.events / few.events:.2f} x",
            f"{many.events_released / few.events_released:.2f} x with the release",
            f"≤ {FACTOR} x",
            max(many.events / few.events, many.events_released / few.events_released) <= FACTOR,
        ),
        Row("time a pod", " → ".join(f"{s.each * 1000:.1f}" for s in sizes) + " ms", "", "falling", falling),
        Row(
            "the worker's own processor time a pod",
            " → ".join(f"{s.cpu['worker'] / s.pods * 1000:.1f}" for s in sizes) + " ms",
            "the rest is the cluster's, see below",
        ),
    ]
    return Result(NAME, rows, [_who_works(sizes)], figures={"sizes": [asdict(size) for size in sizes]})


def _who_works(sizes: list[Size]) -> Table:
    table = Table(title="scale: processor time, ms a pod")
    table.add_column("process")
    for size in sizes:
        table.add_column(f"{size.pods:,} pods", justify="right")
    for name in sorted(sizes[-1].cpu, key=lambda name: -sizes[-1].cpu[name]):
        table.add_row(name, *(f"{size.cpu[name] / size.pods * 1000:.2f}" for size in sizes))
    return table


async def _one(arena: Arena, targets: list[Target], pid: int) -> Size:
    [finding] = arena.publish([_about_workload(arena, targets[0])])
    pids = {**arena.info.processes, "worker": pid}
    before = cpu_seconds(pids)
    begun = await start(arena.client, finding)
    progress = await follow(arena.client, begun.workflow_id, is_contained)
    used = {name: seconds - before[name] for name, seconds in cpu_seconds(pids).items()}
    assert progress.contained_at is not None
    events, size = await _histories(arena.client, begun.workflow_id)
    peak = peak_memory(pid)
    spent = dict(zip(PHASES, await phases(arena.client, begun, progress.contained_at), strict=True))
    activities = spent["assess runs"], spent["isolate runs"], spent["verify runs, to the clock"]
    handle = arena.client.get_workflow_handle(begun.workflow_id)
    await handle.signal(Handler.RELEASE.value, ReleaseOrder(by="bench", reason="measured"))
    async with asyncio.timeout(_PATIENCE):
        await handle.result()
    after, size_after = await _histories(arena.client, begun.workflow_id)
    seconds = (progress.contained_at - begun.called).total_seconds()
    return Size(len(targets), seconds, events, size, after, size_after, peak, *activities, used)


def _about_workload(arena: Arena, target: Target) -> dict[str, Any]:
    """The finding about a pod, made one about its Deployment."""
    raw, workload = arena.finding(target), target.workload
    live = arena.admin.request("GET", object_path("Deployment", workload.namespace, workload.deployment))
    raw["Resource"]["KubernetesDetails"]["KubernetesWorkloadDetails"] |= {
        "Name": workload.deployment,
        "Type": "deployments",
        "Uid": live["metadata"]["uid"],
    }
    return raw


async def _histories(client: Client, workflow_id: str) -> tuple[int, int]:
    """Events and bytes of the incident and its path together."""
    events = size = 0
    for name in (workflow_id, f"{workflow_id}/pod"):
        described = (await client.get_workflow_handle(name).describe()).raw_description.workflow_execution_info
        events += described.history_length
        size += described.history_size_bytes
    return events, size

"""A storm: 200 findings on different pods at once, one worker."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from rich.table import Table

from bench.arena import Arena, Target
from bench.bare import BareCalls, Calls
from bench.incidents import Begun, follow, is_collected, is_contained, start
from bench.one_pod import begin_empty, record_both, run_empty
from bench.processes import cpu_seconds, peak_memory
from bench.results import MB, Result, Row
from contracts.names import WorkflowName
from contracts.states import Containment, IncidentState
from findings.model import Finding

NAME = "storm"
SHARE, MEMORY = 0.7, 300 * MB
_AT_ONCE = 20
"""Start calls on their way at a time, as `firebreak start` makes them."""
_WARM_UP = 5
_OWN = "this benchmark"


async def measure(arena: Arena, *, quick: bool) -> Result:
    """The empty incidents, the bare calls, and the storm, each on its own."""
    namespaces, each = (4, 5) if quick else (20, 10)
    ours = arena.deploy([f"storm-f{n:02}" for n in range(namespaces)], each)
    bare = arena.deploy([f"storm-b{n:02}" for n in range(namespaces)], each)
    [warm] = arena.deploy(["storm-warm"], _WARM_UP).values()
    count = namespaces * each
    with arena.empty_worker() as empty_pid:
        for _ in range(_WARM_UP):
            await run_empty(arena)
        pids = {**arena.info.processes, "worker": empty_pid, _OWN: os.getpid()}
        before = cpu_seconds(pids)
        empty_rate = await _empty_rate(arena, count)
        floor = _used(pids, before)
    bare_rate = await asyncio.to_thread(_bare_rate, arena, bare, record_both(arena, "storm-record"))
    async with arena.worker() as pid:
        for finding in arena.publish([arena.finding(t) for t in warm]):
            await follow(arena.client, (await start(arena.client, finding)).workflow_id, is_collected)
        # Round robin over the namespaces, as findings about different workloads come.
        findings = arena.publish([arena.finding(t) for group in zip(*ours.values(), strict=True) for t in group])
        pids = {**arena.info.processes, "worker": pid, _OWN: os.getpid()}
        before = cpu_seconds(pids)
        begun = await _start_all(arena, findings)
        await _calm(arena)
        used = _used(pids, before)
        contained = [await follow(arena.client, b.workflow_id, is_contained) for b in begun]
        peak = peak_memory(pid)
        collected = [await follow(arena.client, b.workflow_id, is_collected) for b in begun]
        peak_after = peak_memory(pid)
    moments = [p.contained_at for p in contained if p.contained_at and p.containment is Containment.VERIFIED]
    rate = len(moments) / (max(moments) - min(b.called for b in begun)).total_seconds()
    bound = 1 / (1 / empty_rate + 1 / bare_rate)
    started = (max(b.called for b in begun) - min(b.called for b in begun)).total_seconds()
    return Result(
        NAME,
        [
            Row(
                f"{count} findings: contained a second",
                f"{rate:.1f}",
                f"empty {empty_rate:.1f}/s · bare {bare_rate:.1f}/s · together {bound:.1f}/s",
                f"≥ {SHARE} of {bound:.1f}/s",
                rate >= SHARE * bound,
            ),
            Row("share of what both would allow", f"{rate / bound:.2f}", f"all started within {started:.1f} s"),
            Row(
                "the worker's peak memory, evidence included",
                f"{peak_after / MB:.0f} MB",
                f"{peak / MB:.0f} MB when all were contained",
                f"≤ {MEMORY / MB:.0f} MB",
                peak_after <= MEMORY,
            ),
        ],
        [_who_works(used, floor, count)],
        figures={
            "cpu_seconds": {"storm": used, "empty": floor},
            "contained_per_second": rate,
            "empty_per_second": empty_rate,
            "bare_per_second": bare_rate,
            "share": rate / bound,
            "peak_bytes": peak_after,
            "peak_bytes_contained": peak,
            "contained_after": sorted(
                (p.contained_at - b.called).total_seconds()
                for p, b in zip(contained, begun, strict=True)
                if p.contained_at
            ),
            "collected": len(collected),
        },
    )


def _used(pids: dict[str, int], before: dict[str, float]) -> dict[str, float]:
    return {name: seconds - before[name] for name, seconds in cpu_seconds(pids).items()}


def _who_works(used: dict[str, float], floor: dict[str, float], count: int) -> Table:
    table = Table(title="storm: processor time, ms each; evidence that was begun meanwhile included")
    table.add_column("process")
    table.add_column("a containment", justify="right")
    table.add_column("an empty incident", justify="right")
    rows = {name: (used[name], floor[name]) for name in sorted(used, key=lambda name: -used[name])}
    for name, (mine, empty) in {**rows, "all": (sum(used.values()), sum(floor.values()))}.items():
        table.add_row(name, f"{mine / count * 1000:.0f}", f"{empty / count * 1000:.0f}")
    return table


async def _start_all(arena: Arena, findings: Sequence[Finding]) -> list[Begun]:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(finding: Finding) -> Begun:
        async with turns:
            return await start(arena.client, finding)

    return list(await asyncio.gather(*(one(f) for f in findings)))


async def _empty_rate(arena: Arena, count: int) -> float:
    turns = asyncio.Semaphore(_AT_ONCE)
    begun: list[Begun] = []
    ends: list[datetime] = []

    async def one() -> None:
        # The start is limited as in the storm, the run is not.
        async with turns:
            first, handle = await begin_empty(arena)
        begun.append(first)
        ends.append(await handle.result())

    await asyncio.gather(*(one() for _ in range(count)))
    return count / (max(ends) - min(b.called for b in begun)).total_seconds()


def _bare_rate(arena: Arena, places: dict[str, list[Target]], recorded: tuple[Calls, Calls]) -> float:
    """A thread for each namespace, because two replays must not edit one policy at the same time."""
    findings = {name: arena.publish([arena.finding(t) for t in targets]) for name, targets in places.items()}
    calls = BareCalls()

    def one(name: str) -> None:
        for number, (target, finding) in enumerate(zip(places[name], findings[name], strict=True)):
            calls.contain(recorded[min(number, 1)], target, finding)

    before = time.perf_counter()
    with ThreadPoolExecutor(len(places)) as pool:
        list(pool.map(one, places))
    return sum(map(len, places.values())) / (time.perf_counter() - before)


async def _calm(arena: Arena) -> None:
    """Until no incident is on its way to containment: one count a look, so that looking slows nothing down."""
    states = ", ".join(f"'{state.value}'" for state in (IncidentState.ASSESSING, IncidentState.CONTAINING))
    query = f"WorkflowType = '{WorkflowName.REMEDIATE_FINDING.value}' AND State IN ({states})"
    while (await arena.client.count_workflows(query)).count:
        await asyncio.sleep(1)

"""Containment of one pod, beside an empty incident and the same calls made bare, by turns."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import UTC, datetime

from rich.table import Table
from temporalio.client import WorkflowHandle

from bench.arena import Arena
from bench.bare import BareCalls, Calls, Recorder
from bench.empty import QUEUE, EmptyIncident
from bench.incidents import PHASES, Begun, follow, is_collected, is_contained, phases, start
from bench.results import Result, Row, median, ms, percentile

NAME = "one_pod"
_WARM_UP = 3
_REPLICAS = 3
FACTOR = 4


async def measure(arena: Arena, *, quick: bool) -> Result:
    """Contain a pod in a fresh namespace, run an empty incident, make the bare calls; and again."""
    turns = (5 if quick else 50) + _WARM_UP
    ours = arena.deploy([f"one-f{n:03}" for n in range(turns)], _REPLICAS)
    bare = arena.deploy([f"one-b{n:03}" for n in range(turns)], _REPLICAS)
    recorded = record(arena)
    calls = BareCalls()
    real, empty, plain = [], [], []
    real_phases, empty_phases = [], []
    async with arena.worker():
        with arena.empty_worker():
            for (_, [target, *_]), (_, [other, *_]) in zip(ours.items(), bare.items(), strict=True):
                finding, for_bare = arena.publish([arena.finding(target), arena.finding(other)])
                begun = await start(arena.client, finding)
                progress = await follow(arena.client, begun.workflow_id, is_contained)
                assert progress.contained_at is not None
                real.append((progress.contained_at - begun.called).total_seconds())
                # What a containment leaves to be done must not slow down what is measured beside it.
                await follow(arena.client, begun.workflow_id, is_collected)
                real_phases.append(await phases(arena.client, begun, progress.contained_at))
                began, at = await run_empty(arena)
                empty.append((at - began.called).total_seconds())
                empty_phases.append(await phases(arena.client, began, at))
                before = time.perf_counter()
                await asyncio.to_thread(calls.contain, recorded, other, for_bare)
                plain.append(time.perf_counter() - before)
    real, empty, plain = real[_WARM_UP:], empty[_WARM_UP:], plain[_WARM_UP:]
    return _result(real, empty, plain, real_phases[_WARM_UP:], empty_phases[_WARM_UP:], recorded)


def record(arena: Arena) -> Calls:
    """The calls of a containment of the first pod in a namespace, with the facts of the cluster read before."""
    return record_both(arena, "one-record")[0]


def record_both(arena: Arena, prefix: str) -> tuple[Calls, Calls]:
    """The calls for the first pod of a namespace, and for a later one, whose policies stand already."""
    recorder = Recorder(arena.client)
    places = arena.deploy([f"{prefix}-0", f"{prefix}-1"], _REPLICAS)
    warm, [first, later, *_] = (targets for targets in places.values())
    try:
        for target in warm[:1]:
            recorder.contain(arena.publish([arena.finding(target)])[0], target)
        one, other = (recorder.contain(arena.publish([arena.finding(t)])[0], t) for t in (first, later))
    finally:
        recorder.close()
    return one, other


async def begin_empty(arena: Arena) -> tuple[Begun, WorkflowHandle[EmptyIncident, datetime]]:
    """Start an empty incident."""
    begun = Begun(datetime.now(UTC), f"empty/{uuid.uuid4().hex}")
    handle = await arena.client.start_workflow(
        EmptyIncident.run, "nothing", id=begun.workflow_id, task_queue=QUEUE, static_summary="nothing"
    )
    return begun, handle


async def run_empty(arena: Arena) -> tuple[Begun, datetime]:
    """An empty incident to its end; the moment is what its last activity read from the clock."""
    begun, handle = await begin_empty(arena)
    return begun, await handle.result()


def _result(
    real: list[float],
    empty: list[float],
    plain: list[float],
    real_phases: list[list[float]],
    empty_phases: list[list[float]],
    recorded: Calls,
) -> Result:
    bare = median(plain)
    limit = percentile(empty, 95) + FACTOR * bare
    slow = percentile(real, 95)
    beside = f"empty {ms(median(empty))} · bare {ms(bare)}"
    rows = [
        Row(f"start call → contained, p50 of {len(real)}", ms(median(real)), beside),
        Row(
            "the same, p95",
            ms(slow),
            f"empty {ms(percentile(empty, 95))} · bare {ms(percentile(plain, 95))}",
            f"≤ p95(empty) + {FACTOR} x bare = {ms(limit)}",
            slow <= limit,
        ),
        Row("above the empty incident, p50", ms(median(real) - median(empty)),
            f"{(median(real) - median(empty)) / bare:.1f} x bare; {recorded}"),
    ]  # fmt: skip
    figures = {
        "seconds": {"contained": real, "empty": empty, "bare": plain},
        "limit_p95": limit,
        "phases": {"names": PHASES, "contained": real_phases, "empty": empty_phases},
        "calls": [f"{c.method} {c.path}" for c in recorded.calls],
    }
    return Result(NAME, rows, [_where_it_goes(real_phases, empty_phases)], figures)


def _where_it_goes(real: list[list[float]], empty: list[list[float]]) -> Table:
    table = Table(title="one pod: where the time goes (median)")
    for column in ("phase", "Firebreak", "empty", "more"):
        table.add_column(column, justify="left" if column == "phase" else "right")
    for number, phase in enumerate(PHASES):
        mine, floor = (median([sample[number] for sample in samples]) for samples in (real, empty))
        table.add_row(phase, f"{mine * 1000:.1f} ms", f"{floor * 1000:.1f} ms", f"{(mine - floor) * 1000:+.1f} ms")
    return table

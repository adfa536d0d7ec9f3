"""A node full of pods: how long until nothing new lands on it and nobody replaces it, and until it is empty?"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from bench.arena import Arena
from bench.incidents import follow, start
from bench.results import Result, Row, ms
from contracts.incidents import Decision, DecisionAnswer, IncidentView, PathProgress
from contracts.names import ActivityName, Handler
from contracts.states import StepState
from plans.model import Gate, Path

NAME = "node"
_NODE = "node-0"
_MERGE = "application/merge-patch+json"


@dataclass(frozen=True)
class Emptied:
    """What one node came to. Events are of the incident and its path."""

    pods: int
    contained: float
    """Seconds from the call until cordon and protection had been read again."""
    drained: float
    terminated: float
    events: int
    bytes: int


async def measure(arena: Arena, *, quick: bool) -> Result:
    """Contain a node from a finding about its kubelet, then drain and terminate it on approval."""
    pods = 20 if quick else 110
    async with arena.worker():
        await asyncio.to_thread(_fill, arena, pods)
        done = await _one(arena, pods)
    rows = [
        Row("call → cordoned and protected, read again", ms(done.contained), f"{done.pods} pods on the node"),
        Row("drain", ms(done.drained), f"{done.drained / done.pods * 1000:.1f} ms a pod, all free to leave at once"),
        Row("terminate, to the end of instance and node", ms(done.terminated), "the stand-in ends instances at once"),
        Row("events", f"{done.events}", f"{done.bytes / 1000:.0f} kB, incident and path, to the end of the node"),
    ]
    return Result(NAME, rows, figures={"node": asdict(done)})


def _fill(arena: Arena, pods: int) -> None:
    """Let a workload's pods start on one node, while the others take none."""
    others = [n["metadata"]["name"] for n in arena.admin.request("GET", "/api/v1/nodes")["items"]]
    others.remove(_NODE)

    def cordon(value: bool | None) -> None:
        for name in others:
            body = {"spec": {"unschedulable": value}}
            arena.admin.request("PATCH", f"/api/v1/nodes/{name}", body, content_type=_MERGE)

    cordon(True)
    arena.deploy(["node-full"], pods)
    cordon(None)


async def _one(arena: Arena, pods: int) -> Emptied:
    [finding] = arena.publish([_about_node(arena)])
    begun = await start(arena.client, finding)
    await follow(arena.client, begun.workflow_id, _protected)
    path = f"{begun.workflow_id}/{Path.NODE.value}"
    protected = (await _moments(arena.client, path))[ActivityName.PROTECT_NODE][1]
    await _approve(arena.client, begun.workflow_id)
    await follow(arena.client, begun.workflow_id, lambda p: _is(p, "node.terminate"))
    moments = await _moments(arena.client, path)
    seconds = {name: (end - begin).total_seconds() for name, (begin, end) in moments.items()}
    events = size = 0
    for name in (begun.workflow_id, path):
        described = (await arena.client.get_workflow_handle(name).describe()).raw_description.workflow_execution_info
        events += described.history_length
        size += described.history_size_bytes
    return Emptied(
        pods=pods,
        contained=(protected - begun.called).total_seconds(),
        drained=seconds[ActivityName.DRAIN_NODE],
        terminated=seconds[ActivityName.TERMINATE_NODE],
        events=events,
        bytes=size,
    )


def _about_node(arena: Arena) -> dict[str, Any]:
    """A finding about the kubelet of the node."""
    info, now = arena.info, datetime.now(UTC) - timedelta(minutes=1)
    seen = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    arn = f"arn:aws:eks:{info.region}:{info.account}:cluster/{info.cluster}"
    return {
        "AccountId": info.account,
        "Arn": f"arn:aws:guardduty:{info.region}:{info.account}:detector/{info.detector_id}/finding/bench-node",
        "CreatedAt": seen,
        "Id": "bench-node",
        "Region": info.region,
        "SchemaVersion": "2.0",
        "Severity": 8,
        "Type": "Discovery:Kubernetes/MaliciousIPCaller",
        "UpdatedAt": seen,
        "Resource": {
            "ResourceType": "EKSCluster",
            "EksClusterDetails": {"Name": info.cluster, "Arn": arn},
            "KubernetesDetails": {
                "KubernetesUserDetails": {"Username": f"system:node:{_NODE}", "Groups": ["system:nodes"]}
            },
        },
        "Service": {"Archived": False, "Count": 1, "EventFirstSeen": seen, "EventLastSeen": seen},
    }


async def _approve(client: Client, workflow_id: str) -> None:
    handle = client.get_workflow_handle(workflow_id)
    view = await handle.query(Handler.STATUS.value, result_type=IncidentView)
    gate = next(g for g in view.gates if g.gate is Gate.TERMINATE)
    decision = Decision(
        incident=workflow_id,
        gate=gate.gate.value,
        digest=gate.digest,
        nonce=gate.nonce,
        decision="approve",
        by="bench",
        reason="measured",
        expires=datetime.now(UTC) + timedelta(hours=1),
    )
    answer = await handle.execute_update(Handler.DECIDE.value, decision, result_type=DecisionAnswer)
    if not answer.accepted:
        raise RuntimeError(f"the decision was not taken: {answer.message}")


async def _moments(client: Client, workflow_id: str) -> dict[str, tuple[datetime, datetime]]:
    """When the last activity of each type began and was completed."""
    types: dict[int, str] = {}
    began: dict[int, datetime] = {}
    found: dict[str, tuple[datetime, datetime]] = {}
    async for event in client.get_workflow_handle(workflow_id).fetch_history_events():
        at = event.event_time.ToDatetime(tzinfo=UTC)
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            types[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            began[event.activity_task_started_event_attributes.scheduled_event_id] = at
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            scheduled = event.activity_task_completed_event_attributes.scheduled_event_id
            found[types[scheduled]] = (began[scheduled], at)
    return found


def _protected(progress: PathProgress) -> bool:
    return _is(progress, "node.cordon") and _is(progress, "node.protect") and _is(progress, "node.snapshot")


def _is(progress: PathProgress, step: str) -> bool:
    return any(s.step == step and s.state is StepState.DONE for s in progress.steps)

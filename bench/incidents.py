"""Starts incidents and follows them without disturbing: by long polls of their history, never by queries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from contracts.incidents import PathProgress
from contracts.names import Handler
from contracts.states import Containment, StepState
from findings.model import Finding
from intake.start import start_incident

_PATIENCE = 900.0

PHASES = (
    "start call → assess scheduled",
    "assess scheduled → picked up",
    "assess runs",
    "assess done → path begins",
    "path begins → isolate scheduled",
    "isolate scheduled → picked up",
    "isolate runs",
    "isolate done → verify scheduled",
    "verify scheduled → picked up",
    "verify runs, to the clock",
)


@dataclass(frozen=True)
class Begun:
    """A started incident: when the start was called, and the workflow id."""

    called: datetime
    workflow_id: str


async def start(client: Client, finding: Finding) -> Begun:
    """Start the incident of a finding, as every way in does."""
    called = datetime.now(UTC)
    outcome = await start_incident(client, finding, requested_by="bench", now=called)
    return Begun(called, outcome.incident)


async def follow(client: Client, workflow_id: str, until: Callable[[PathProgress], bool]) -> PathProgress:
    """The path's first report that fulfils a condition.

    Raises:
        RuntimeError: The incident ended without one.
        TimeoutError: It does not come.
    """
    handle = client.get_workflow_handle(workflow_id)
    last: PathProgress | None = None
    async with asyncio.timeout(_PATIENCE):
        async for event in handle.fetch_history_events(wait_new_event=True):
            signal = event.workflow_execution_signaled_event_attributes
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED and (
                signal.signal_name == Handler.PROGRESS.value
            ):
                [last] = await client.data_converter.decode(signal.input.payloads, [PathProgress])
                if until(last):
                    return last
    raise RuntimeError(f"{workflow_id} ended; last heard: {last.model_dump_json(indent=1) if last else 'nothing'}")


def is_contained(progress: PathProgress) -> bool:
    """Whether containment is verified."""
    return progress.containment is Containment.VERIFIED and progress.contained_at is not None


def is_collected(progress: PathProgress) -> bool:
    """Whether the evidence is in as well, so that nothing of the incident runs any more."""
    ended = (StepState.DONE, StepState.FAILED, StepState.SKIPPED)
    return is_contained(progress) and any(s.step == "pod.collect" and s.state in ended for s in progress.steps)


async def phases(client: Client, begun: Begun, contained: datetime) -> list[float]:
    """The seconds of each of `PHASES`, from the timestamps of the two histories."""
    parent = [e async for e in client.get_workflow_handle(begun.workflow_id).fetch_history_events()]
    child = [e async for e in client.get_workflow_handle(f"{begun.workflow_id}/pod").fetch_history_events()]
    assess, [isolate, verify] = _activities(parent)[0], _activities(child)[:2]
    moments = [begun.called, *assess, _time(child[0]), *isolate, *verify[:2], contained]
    return [(b - a).total_seconds() for a, b in pairwise(moments)]


def _activities(events: Sequence[HistoryEvent]) -> list[list[datetime]]:
    """Scheduled, started and completed of each activity, in the order of scheduling."""
    found: dict[int, list[datetime]] = {}
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            found[event.event_id] = [_time(event)]
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            found[event.activity_task_started_event_attributes.scheduled_event_id].append(_time(event))
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            found[event.activity_task_completed_event_attributes.scheduled_event_id].append(_time(event))
    return list(found.values())


def _time(event: HistoryEvent) -> datetime:
    return event.event_time.ToDatetime(tzinfo=UTC)

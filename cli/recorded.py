"""What an incident changed, read from its history: for one that was terminated from outside and left no result."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionDescription

from contracts.activities import Assessment
from contracts.common import PodTargets
from contracts.incidents import PathProgress
from contracts.names import ActivityName, Handler
from plans.model import Change

_RPC_TIMEOUT = timedelta(seconds=30)

M = TypeVar("M", Assessment, PathProgress)


async def recorded_release(
    client: Client, described: WorkflowExecutionDescription
) -> tuple[tuple[Change, ...], PodTargets, str]:
    """The changes that stand, the pods, and the first run id of an incident.

    The assessment is the write-ahead log of containment, and each path reports its changes before it makes them, so
    the history holds every change that may have been made; undoing one that was not made does nothing.

    Raises:
        RPCError: The history cannot be read.
    """
    handle = client.get_workflow_handle(described.id, run_id=described.run_id)
    changes: dict[str, Change] = {}
    undone: set[str] = set()
    pods, first_run, assessing = PodTargets(), described.run_id, -1
    async for event in handle.fetch_history_events(rpc_timeout=_RPC_TIMEOUT):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            first_run = event.workflow_execution_started_event_attributes.first_execution_run_id or first_run
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            if event.activity_task_scheduled_event_attributes.activity_type.name == ActivityName.ASSESS.value:
                assessing = event.event_id
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            completed = event.activity_task_completed_event_attributes
            if completed.scheduled_event_id == assessing:
                assessment = await _decode(client, completed.result, Assessment)
                pods = assessment.pods
                changes.update({c.key: c for c in assessment.changes})
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            signaled = event.workflow_execution_signaled_event_attributes
            if signaled.signal_name == Handler.PROGRESS.value:
                progress = await _decode(client, signaled.input, PathProgress)
                changes.update({c.key: c for c in progress.changes})
                undone.update(progress.undone)
    return tuple(c for c in changes.values() if c.key not in undone), pods, first_run


async def _decode(client: Client, payloads: Payloads, kind: type[M]) -> M:
    (decoded,) = await client.data_converter.decode(payloads.payloads, [kind])
    assert isinstance(decoded, kind)
    return decoded

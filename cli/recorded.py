"""What an incident found and changed, read from its history: for one that left no result, and for early reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionDescription

from contracts.activities import Assessment
from contracts.common import PodTargets
from contracts.incidents import IncidentInput, PathProgress
from contracts.names import ActivityName, Handler
from plans.model import Change

_RPC_TIMEOUT = timedelta(seconds=30)

M = TypeVar("M", Assessment, PathProgress, IncidentInput)


@dataclass
class Recorded:
    """An incident's history, as far as it tells what was found and changed."""

    first_run: str
    start: IncidentInput | None = None
    assessment: Assessment | None = None
    changes: dict[str, Change] = field(default_factory=dict)
    undone: set[str] = field(default_factory=set)

    @property
    def pods(self) -> PodTargets:
        """The pods that were contained."""
        return self.assessment.pods if self.assessment else PodTargets()

    @property
    def image_pods(self) -> PodTargets:
        """The pods of a compromised image that were contained beside them."""
        return self.assessment.image_pods if self.assessment else PodTargets()

    @property
    def standing(self) -> tuple[Change, ...]:
        """The changes that may stand, in the order in which they were made."""
        return tuple(c for c in self.changes.values() if c.key not in self.undone)


async def read_record(client: Client, described: WorkflowExecutionDescription) -> Recorded:
    """Read an incident's history.

    The assessment is the write-ahead log of containment, and each path reports its changes before it makes them, so
    the history holds every change that may have been made; undoing one that was not made does nothing.

    Raises:
        RPCError: The history cannot be read.
    """
    handle = client.get_workflow_handle(described.id, run_id=described.run_id)
    record, assessing = Recorded(first_run=described.run_id), -1
    async for event in handle.fetch_history_events(rpc_timeout=_RPC_TIMEOUT):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            started = event.workflow_execution_started_event_attributes
            record.first_run = started.first_execution_run_id or record.first_run
            record.start = await _decode(client, started.input, IncidentInput)
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            if event.activity_task_scheduled_event_attributes.activity_type.name == ActivityName.ASSESS.value:
                assessing = event.event_id
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            completed = event.activity_task_completed_event_attributes
            if completed.scheduled_event_id == assessing:
                record.assessment = await _decode(client, completed.result, Assessment)
                found = (*record.assessment.changes, *record.assessment.image_changes)
                record.changes.update({c.key: c for c in found})
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            signaled = event.workflow_execution_signaled_event_attributes
            if signaled.signal_name == Handler.PROGRESS.value:
                progress = await _decode(client, signaled.input, PathProgress)
                record.changes.update({c.key: c for c in progress.changes})
                record.undone.update(progress.undone)
    return record


async def _decode(client: Client, payloads: Payloads, kind: type[M]) -> M:
    (decoded,) = await client.data_converter.decode(payloads.payloads, [kind])
    assert isinstance(decoded, kind)
    return decoded

"""Reading one incident: from its workflow, from its result, or from what Temporal knows when no worker answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.service import RPCError, RPCStatusCode

from cli.collection import Collection, read_collections
from cli.text import clean
from contracts.incidents import IncidentView
from contracts.names import CLUSTER, FINDING_ID, FINDING_TYPE, GATE, SEVERITY, STATE, Handler

QUERY_TIMEOUT = timedelta(seconds=3)
_RPC_TIMEOUT = timedelta(seconds=10)


class Source(StrEnum):
    """Where a reading comes from."""

    WORKFLOW = "workflow"
    """The running workflow answered."""
    RESULT = "result"
    """The workflow has closed; this is its result."""
    VISIBILITY = "visibility"
    """No worker answered, or there is no result: search attributes and details only."""


@dataclass(frozen=True)
class Brief:
    """What Temporal knows of an incident without any worker: one line of `list`."""

    incident: str
    run_id: str
    open: bool
    status: str
    finding_id: str
    finding_type: str
    severity: float | None
    cluster: str
    state: str
    gates: tuple[str, ...]
    started: datetime
    closed: datetime | None

    @classmethod
    def of(cls, execution: WorkflowExecution) -> Brief:
        """The brief of one execution."""
        found = execution.typed_search_attributes
        return cls(
            incident=execution.id,
            run_id=execution.run_id,
            open=execution.status is WorkflowExecutionStatus.RUNNING,
            status=execution.status.name.lower() if execution.status else "unknown",
            finding_id=found.get(FINDING_ID, ""),
            finding_type=found.get(FINDING_TYPE, ""),
            severity=found.get(SEVERITY),
            cluster=found.get(CLUSTER, ""),
            state=found.get(STATE, ""),
            gates=tuple(found.get(GATE, ())),
            started=execution.start_time,
            closed=execution.close_time,
        )


@dataclass(frozen=True)
class Held:
    """The pause that holds every change, as `activities.control.Pause` has it. Its words come from outside."""

    by: str
    reason: str
    at: str


@dataclass(frozen=True)
class Reading:
    """One incident as it could be read: `view` is None when `source` is visibility."""

    source: Source
    brief: Brief
    view: IncidentView | None = None
    note: str = ""
    """Why this is all that could be read."""
    details: str = ""
    """The static details, where there is no view."""
    held: Held | None = None
    """The pause, where changes are held and the cluster could be asked."""
    collections: tuple[Collection, ...] = ()
    """How far the collections are that run now."""

    @property
    def open(self) -> bool:
        """Whether the workflow still runs."""
        return self.brief.open


async def read_incident(client: Client, described: WorkflowExecutionDescription) -> Reading:
    """Read an incident that was just described.

    Raises:
        RPCError: Temporal itself does not answer.
    """
    brief = Brief.of(described)
    if brief.open:
        return await _running(client, described, brief)
    if described.status is WorkflowExecutionStatus.COMPLETED:
        return await _completed(client, described, brief)
    note = f"the workflow was {brief.status} in Temporal, not ended by Firebreak: what it changed may still stand"
    return await _visible(described, brief, note)


async def refresh(client: Client, incident: str) -> Reading:
    """Read the latest run of an incident by its workflow id."""
    described = await client.get_workflow_handle(incident).describe(rpc_timeout=_RPC_TIMEOUT)
    return await read_incident(client, described)


async def _running(client: Client, described: WorkflowExecutionDescription, brief: Brief) -> Reading:
    handle = client.get_workflow_handle(described.id, run_id=described.run_id)
    try:
        view: IncidentView = await handle.query(
            Handler.STATUS.value, result_type=IncidentView, rpc_timeout=QUERY_TIMEOUT
        )
    except (WorkflowQueryFailedError, WorkflowQueryRejectedError) as error:
        return await _visible(
            described, brief, f"the workflow cannot answer ({clean(error, 200)}); see firebreak doctor"
        )
    except RPCError as error:
        if error.status is RPCStatusCode.UNAVAILABLE:
            raise
        note = f"no worker answered within {QUERY_TIMEOUT.seconds} s: start one with `firebreak worker`"
        return await _visible(described, brief, note)
    return Reading(Source.WORKFLOW, brief, view, collections=await read_collections(client, view))


async def _completed(client: Client, described: WorkflowExecutionDescription, brief: Brief) -> Reading:
    handle = client.get_workflow_handle(described.id, run_id=described.run_id, result_type=IncidentView)
    try:
        return Reading(Source.RESULT, brief, await handle.result(rpc_timeout=_RPC_TIMEOUT))
    except WorkflowFailureError as error:
        return await _visible(described, brief, f"the workflow has no result: {clean(error, 200)}")


async def _visible(described: WorkflowExecutionDescription, brief: Brief, note: str) -> Reading:
    return Reading(Source.VISIBILITY, brief, None, note, await described.static_details() or "")

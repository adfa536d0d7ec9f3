"""Starting an incident from a finding, once: every way in goes through `start_incident`.

The workflow id carries the finding's identity, so Temporal itself keeps two starts from becoming two incidents. What a
repeat means is decided here (design: Incidents): while the incident runs it is an observation, at most one an hour;
after it closed it is a new run only if GuardDuty saw the activity again since, or nothing had been done.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from contracts.common import EvidenceState
from contracts.incidents import IncidentInput, IncidentView, Observation
from contracts.names import HOT_QUEUE, STATE, Handler, WorkflowName, incident_id
from contracts.states import IncidentState, ObservationKind
from errors import Conflict, InputError
from findings.model import Finding
from intake.repeats import what_changed
from intake.summary import priority, search_attributes, static_details, static_summary
from settings import Settings

OBSERVATION_INTERVAL = timedelta(hours=1)
_RPC_TIMEOUT = timedelta(seconds=10)
_QUERY_TIMEOUT = timedelta(seconds=3)
_MOST_ATTEMPTS = 5


class StartResult(StrEnum):
    """What became of a finding that was handed in."""

    STARTED = "started"
    ATTACHED = "attached"
    """Its incident runs already, and need not look again."""
    OBSERVED = "observed"
    """Its incident runs already and was told to look again."""
    CLOSED = "closed"
    """Its incident is over and GuardDuty has seen nothing since: nothing was started."""


class StartOutcome(BaseModel):
    """The answer of `start_incident`."""

    result: StartResult
    incident: str
    run_id: str
    finding_id: str
    message: str
    closed_at: datetime | None = None
    state: IncidentState | None = None
    """Of the closed run, where `result` is closed or a new run follows one."""
    evidence: EvidenceState | None = None
    """Of the closed run."""

    @property
    def refused(self) -> bool:
        """Whether the finding leads to nothing that runs."""
        return self.result is StartResult.CLOSED


def check_installation(finding: Finding, settings: Settings) -> None:
    """Refuse a finding that belongs to another account, region or cluster, where the settings name ours.

    Raises:
        InputError: The first of the three that differs. A finding that names no cluster passes: `assess` decides.
    """
    ours = (
        ("account", settings.account, finding.account),
        ("region", settings.region, finding.region),
        ("cluster", settings.cluster, finding.cluster.name if finding.cluster else ""),
    )
    for field, expected, found in ours:
        if expected and found and expected != found:
            raise InputError(field, f"this installation's {field}, {expected}", found[:100])


async def start_incident(
    client: Client,
    finding: Finding,
    *,
    act_on_sample: bool = False,
    requested_by: str = "",
    now: datetime | None = None,
) -> StartOutcome:
    """Start the incident of a finding, or hand the finding to the one that runs.

    Args:
        client: Of Temporal, with the pydantic data converter.
        finding: The finding; whether it is ours was checked before (`check_installation`).
        act_on_sample: Treat a sample finding as a real one.
        requested_by: Who or what handed it in, for the record.
        now: The moment at which it came in, UTC; the clock when left out.

    Raises:
        RPCError: Temporal does not answer, or refuses.
        Conflict: The incident ended and began anew faster than it could be looked at.
    """
    received = now or datetime.now(UTC)
    start = IncidentInput(finding=finding, received=received, act_on_sample=act_on_sample, requested_by=requested_by)
    reuse, before = WorkflowIDReusePolicy.REJECT_DUPLICATE, None
    for _ in range(_MOST_ATTEMPTS):
        try:
            run_id = await _start(client, start, reuse)
        except WorkflowAlreadyStartedError as error:
            handle = client.get_workflow_handle(error.workflow_id)
        else:
            return _started(finding, run_id, before)
        described = await handle.describe(rpc_timeout=_RPC_TIMEOUT)
        if described.status is WorkflowExecutionStatus.RUNNING:
            attached = await _attach(client, finding, described, received)
            if attached is not None:
                return attached
            continue
        before = await _closed(client, finding, described)
        if not _may_run_again(finding, before):
            return before
        # Allowing a duplicate is safe now: while another run is open the conflict policy still refuses.
        reuse = WorkflowIDReusePolicy.ALLOW_DUPLICATE
    raise Conflict(f"the incident of finding {finding.id} keeps ending while it is looked at; try again")


async def _start(client: Client, start: IncidentInput, reuse: WorkflowIDReusePolicy) -> str:
    finding = start.finding
    handle = await client.start_workflow(
        WorkflowName.REMEDIATE_FINDING.value,
        start,
        id=incident_id(finding.account, finding.region, finding.id),
        task_queue=HOT_QUEUE,
        # No timeout and no retry: an incident waits for people as long as it takes, and never contains twice.
        id_reuse_policy=reuse,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        search_attributes=search_attributes(finding),
        static_summary=static_summary(finding),
        static_details=static_details(finding, start.received, start.requested_by),
        priority=priority(finding),
        rpc_timeout=_RPC_TIMEOUT,
    )
    return handle.first_execution_run_id or ""


def _started(finding: Finding, run_id: str, before: StartOutcome | None) -> StartOutcome:
    again = f"; the earlier run ended as {before.state.value}" if before and before.state else ""
    return StartOutcome(
        result=StartResult.STARTED,
        incident=incident_id(finding.account, finding.region, finding.id),
        run_id=run_id,
        finding_id=finding.id,
        message=f"incident started{again}",
        closed_at=before.closed_at if before else None,
        state=before.state if before else None,
        evidence=before.evidence if before else None,
    )


# While it runs


async def _attach(
    client: Client, finding: Finding, described: WorkflowExecutionDescription, now: datetime
) -> StartOutcome | None:
    """Observe if it is due; None when the incident closed in the meantime."""
    handle = client.get_workflow_handle(described.id, run_id=described.run_id)
    change = await what_changed(client, handle, finding)
    result, message = StartResult.ATTACHED, "its incident runs already"
    if change or await _is_due(handle, described, now):
        observation = Observation(
            kind=ObservationKind.REPEAT,
            reason=change,
            severity=finding.severity,
            count=finding.count,
            last_seen=finding.last_activity,
        )
        try:
            await handle.signal(Handler.OBSERVE.value, observation, rpc_timeout=_RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        result, message = (
            StartResult.OBSERVED,
            f"its incident runs already and looks again{f': {change}' if change else ''}",
        )
    return StartOutcome(
        result=result, incident=described.id, run_id=described.run_id, finding_id=finding.id, message=message
    )


async def _is_due(
    handle: WorkflowHandle[object, object], described: WorkflowExecutionDescription, now: datetime
) -> bool:
    """Whether the last look is an hour ago. Nobody looked since an hour after the start, if no worker can tell."""
    if now - described.start_time < OBSERVATION_INTERVAL:
        return False
    try:
        view: IncidentView = await handle.query(
            Handler.STATUS.value, result_type=IncidentView, rpc_timeout=_QUERY_TIMEOUT
        )
    except (RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError):
        return True
    return view.last_observed is None or now - view.last_observed >= OBSERVATION_INTERVAL


# After it closed


async def _closed(client: Client, finding: Finding, described: WorkflowExecutionDescription) -> StartOutcome:
    """What is known of the closed run: the state from its search attribute, the evidence from its result."""
    state = described.typed_search_attributes.get(STATE)
    view = None
    if described.status is WorkflowExecutionStatus.COMPLETED:
        handle = client.get_workflow_handle(described.id, run_id=described.run_id, result_type=IncidentView)
        view = await handle.result(rpc_timeout=_RPC_TIMEOUT)
    known = view.state if view else IncidentState(state) if state in set(IncidentState) else None
    ended = described.close_time
    if view is not None:
        what = f"its incident ended as {view.state.value}"
    else:
        status = described.status.name.lower() if described.status else "closed"
        what = f"its workflow was {status} in Temporal{f' while {known.value}' if known else ''}"
    when = f" on {ended:%Y-%m-%d at %H:%M:%S} UTC" if ended else ""
    return StartOutcome(
        result=StartResult.CLOSED,
        incident=described.id,
        run_id=described.run_id,
        finding_id=finding.id,
        message=f"{what}{when}, and GuardDuty has seen nothing since",
        closed_at=ended,
        state=known,
        evidence=view.evidence if view else None,
    )


def _may_run_again(finding: Finding, before: StartOutcome) -> bool:
    if before.state is IncidentState.PLAN_ONLY:
        return True
    # `last_activity` falls back to the time of writing, which also moves when somebody only archives the finding.
    return bool(finding.last_seen and before.closed_at and finding.last_seen > before.closed_at)

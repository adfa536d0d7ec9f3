"""What `retry` and `release` do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from cli.connect import connect
from cli.ending import Code
from cli.ids import resolve
from cli.output import Output
from cli.reading import Reading, Source, read_incident, refresh
from cli.recorded import read_record
from cli.signature import signed
from cli.suppressing import was_suppressed
from cli.text import clean, counted
from contracts.activities import RestoreResult
from contracts.common import IncidentKey
from contracts.incidents import IncidentView, ReleaseInput, ReleaseOrder, RetryRequest
from contracts.names import HOT_QUEUE, Handler, WorkflowName
from contracts.states import GateState, IncidentState, StepState
from errors import Conflict, InputError
from plans.model import Gate

_RPC_TIMEOUT = timedelta(seconds=10)
_INTERVAL = 0.3
_ASSESS = "assess"
"""The name under which the assessment itself can be tried again, before there is a plan with steps."""
Names = dict[str, str]
"""What the object of a change is called, by the change's key."""


async def retry_step(text: str, step: str, *, reason: str, by: str, output: Output) -> Code:
    """Ask an incident to try one step again."""
    client = await connect(output)
    reading = await read_incident(client, await resolve(client, text))
    if not reading.open:
        raise Conflict("the incident is closed: nothing of it can be tried again")
    if reading.view is not None:
        _check_step(reading.view, step)
    request = RetryRequest(step=step, by=signed(by), reason=clean(reason, 500))
    handle = client.get_workflow_handle(reading.brief.incident, run_id=reading.brief.run_id)
    await handle.signal(Handler.RETRY.value, request, rpc_timeout=_RPC_TIMEOUT)
    queued = reading.source is Source.VISIBILITY
    message = "asked to try it again" + ("; no worker answers, so it is queued" if queued else "")
    output.result({"incident": reading.brief.incident, "step": step, "queued": queued, "message": message})
    output.line(f"{clean(step, 60)}: {message}", "yellow" if queued else "bold green")
    return Code.DONE


def _check_step(view: IncidentView, step: str) -> None:
    if not view.steps and view.plan is None:
        if step != _ASSESS:
            raise InputError("STEP", f"{_ASSESS}: there is no plan yet", clean(step, 60))
        return
    states = {s.step: s.state for s in view.steps}
    if step not in states:
        raise InputError("STEP", f"a step of this incident: {', '.join(states)}", clean(step, 60))
    gates = {name: gate for gate in view.gates for name in gate.steps}
    gate = gates.get(step)
    reopens = gate is not None and gate.state in (GateState.DENIED, GateState.EXPIRED)
    contains = gate is not None and gate.gate is Gate.CONTAIN
    if states[step] is not StepState.FAILED and not reopens and not contains:
        raise InputError(
            "STEP", "a step that failed, or whose gate was denied or expired", f"{step}, {states[step].value}"
        )


async def release_incident(text: str, *, reason: str, by: str, wait: bool, output: Output) -> Code:
    """Undo what an incident changed, through the incident while it runs, else from its record."""
    client = await connect(output)
    described = await resolve(client, text)
    reading = await read_incident(client, described)
    order = ReleaseOrder(by=signed(by), reason=clean(reason, 500))
    released = reading.view is not None and reading.view.state is IncidentState.RELEASED and not reading.open
    if released and not await was_suppressed(client, described.id):
        return _print(reading, RestoreResult(), "released already; there is nothing left to undo", output, {})
    asked = datetime.now(UTC)
    if reading.open:
        handle = client.get_workflow_handle(described.id, run_id=described.run_id)
        await handle.signal(Handler.RELEASE.value, order, rpc_timeout=_RPC_TIMEOUT)
        if reading.source is Source.VISIBILITY:
            output.say(reading.note, style="yellow")
    else:
        await _start_release(client, described, reading, order)
    if not wait:
        return _print(reading, None, "asked to undo its changes; `firebreak show` tells how far it is", output, {})
    output.say("undoing the changes; Ctrl-C stops waiting, not undoing")
    result = await _outcome(client, reading, asked)
    if result is None and await _left_something(client, closed := await refresh(client, described.id)):
        # What it left is undone as for any incident that is over.
        reading = closed
        await _start_release(client, described, reading, order)
        result = await _outcome(client, reading, asked)
    # The incident itself still writes its report; a failed release leaves it open.
    if result is not None and reading.open and not result.failures:
        await _until_closed(client, described.id)
    ended = await refresh(client, described.id)
    if result is None:
        return _print(ended, RestoreResult(), "the incident ended; nothing to undo", output, {})
    names = await _names(client, described, ended)
    return _print(ended, result, _message(result, names), output, names)


async def _left_something(client: Client, reading: Reading) -> bool:
    """Whether the incident came to its end while the release was on its way to it, and something of it stands."""
    view = reading.view
    if view is None or reading.open:
        return False
    if view.state is not IncidentState.RELEASED and any(c.key not in view.undone for c in view.changes):
        return True
    return await was_suppressed(client, reading.brief.incident)


async def _start_release(
    client: Client, described: WorkflowExecutionDescription, reading: Reading, order: ReleaseOrder
) -> None:
    view = reading.view
    if view is not None:
        undone = set(view.undone)
        changes = tuple(c for c in view.changes if c.key not in undone)
        pods, image_pods = view.pods, view.image_pods
        first_run = view.run_id or described.run_id
    else:
        # Somebody ended the workflow from outside, so it left no result; what it changed stands in its history.
        record = await read_record(client, described)
        changes, first_run = record.standing, record.first_run
        pods, image_pods = record.pods, record.image_pods
    await client.start_workflow(
        WorkflowName.RELEASE_CONTAINMENT.value,
        ReleaseInput(
            incident=IncidentKey(workflow_id=described.id, run_id=first_run),
            changes=changes,
            pods=pods,
            image_pods=image_pods,
            unreported=True,
            by=order.by,
            reason=order.reason,
        ),
        id=_release_id(described.id),
        task_queue=HOT_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=f"undo {counted(len(changes), 'change')} of {clean(reading.brief.finding_id, 100)}",
        rpc_timeout=_RPC_TIMEOUT,
    )


async def _outcome(client: Client, reading: Reading, since: datetime) -> RestoreResult | None:
    """The result of the release that was asked for; None when the incident closed without needing one."""
    while True:
        found = await _release_run(client, reading.brief.incident, since)
        if found is not None:
            return found
        if reading.open and not (await refresh(client, reading.brief.incident)).open:
            # It may have closed right after its release did.
            return await _release_run(client, reading.brief.incident, since)
        await asyncio.sleep(_INTERVAL)


async def _release_run(client: Client, incident: str, since: datetime) -> RestoreResult | None:
    try:
        described = await client.get_workflow_handle(_release_id(incident)).describe(rpc_timeout=_RPC_TIMEOUT)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    if described.status is WorkflowExecutionStatus.RUNNING:
        return None
    # An earlier release of the same incident is not the answer; a little is allowed for clocks that differ.
    if described.close_time is None or described.close_time < since - timedelta(seconds=5):
        return None
    handle = client.get_workflow_handle(described.id, run_id=described.run_id, result_type=RestoreResult)
    try:
        result: RestoreResult = await handle.result(rpc_timeout=_RPC_TIMEOUT)
    except WorkflowFailureError as error:
        raise Conflict(f"the release itself was ended: {clean(error.cause or error, 200)}") from error
    return result


async def _until_closed(client: Client, incident: str) -> None:
    while (await refresh(client, incident)).open:
        await asyncio.sleep(_INTERVAL)


def _release_id(incident: str) -> str:
    return f"{incident}/release"


async def _names(client: Client, described: WorkflowExecutionDescription, reading: Reading) -> Names:
    """What the objects of an incident's changes are called, by the key of the change."""
    changes = reading.view.changes if reading.view else (await read_record(client, described)).changes.values()
    return {change.key: str(change.resource) for change in changes}


def _message(result: RestoreResult, names: Names) -> str:
    if result != RestoreResult():
        return "released"
    return "released; nothing that it had changed stood any more" if names else "released; nothing had been changed"


def _print(reading: Reading, result: RestoreResult | None, message: str, output: Output, names: Names) -> Code:
    failed = result is not None and bool(result.failures)
    text = "not everything could be undone; the incident stays open, release it again" if failed else message
    document: dict[str, JsonValue] = {
        "incident": reading.brief.incident,
        "state": reading.view.state.value if reading.view else reading.brief.state,
        "done": result is not None and not failed,
        "undone": [*(result.undone if result else ())],
        "pods_restored": result.pods_restored if result else 0,
        "kept": [*dict.fromkeys(result.kept if result else ())],
        "failures": [f.model_dump(mode="json") for f in (result.failures if result else ())],
        "message": text,
    }
    output.result(document)
    output.line(text, "bold red" if failed else "bold green" if result else "yellow")
    if result is not None and result != RestoreResult():
        _tell(result, names, output)
    return Code.FAILED if failed else Code.DONE


def _tell(result: RestoreResult, names: Names, output: Output) -> None:
    output.line(f"  {counted(result.pods_restored, 'pod')} restored, {counted(len(result.undone), 'change')} undone")
    for key in result.undone:
        output.line(f"  undone  {clean(names.get(key, key), 300)}")
    for line in dict.fromkeys(result.kept):
        output.line(f"  kept    {clean(line, 300)}", "yellow")
    for failure in result.failures:
        output.line(f"  failed  {clean(failure.target, 200)}: {failure.code}, {clean(failure.message, 300)}", "red")

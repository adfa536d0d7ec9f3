"""What `suppress` does: show the suppression rule of an incident's finding, and create it once somebody says so."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import typer
from pydantic import JsonValue
from rich.console import Group
from rich.text import Text
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from cli.connect import connect
from cli.ending import Code
from cli.ids import describe, resolve
from cli.output import Output
from cli.recorded import read_record
from cli.signature import checked_reason, signed
from cli.text import clean, hanging
from contracts.common import IncidentKey
from contracts.incidents import SuppressInput
from contracts.names import HOT_QUEUE, WorkflowName
from contracts.steps import StepOutcome
from errors import Conflict
from plans.suppression import Suppression, owner_in, suppression_of, suppression_step

_RPC_TIMEOUT = timedelta(seconds=10)


async def suppress_finding(text: str, *, reason: str, by: str, yes: bool, output: Output) -> Code:
    """Propose the filter of an incident's finding; create it with a reason and a yes, and never without.

    Raises:
        InputError: A reason is missing, or too long.
        PolicyRefusal: Nothing narrows the filter.
    """
    why = checked_reason(reason, "a sentence that says why it is expected; it stands in the record", needed=yes)
    client = await connect(output)
    described = await resolve(client, text)
    record = await read_record(client, described)
    if record.start is None:
        raise Conflict("the history of the incident does not hold its finding any more")
    finding = record.start.finding
    owner = owner_in(record.assessment.plan if record.assessment else None, finding)
    proposed = suppression_of(finding, owner)
    output.show(_screen(proposed))
    if not yes and not asked(reason, output):
        message = "nothing was created; it needs --reason and --yes"
        return _print(described.id, proposed, None, message, output)
    order = SuppressInput(
        incident=IncidentKey(workflow_id=described.id, run_id=record.first_run),
        finding=finding,
        step=suppression_step(proposed, owner, signed(by), why),
    )
    outcome = await _carried_out(client, order, output)
    return _print(described.id, proposed, outcome, outcome.summary or "it was not created", output)


def suppress_id(incident: str) -> str:
    """The workflow id under which an incident's suppression rule is made."""
    return f"{incident}/suppress"


async def was_suppressed(client: Client, incident: str) -> bool:
    """Whether a suppression rule was asked for beside an incident, as far as Temporal remembers."""
    return await describe(client, suppress_id(incident)) is not None


def asked(reason: str, output: Output) -> bool:
    """The answer of a person at a terminal; nobody else is asked."""
    if output.json or not reason.strip() or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return typer.confirm("Create this filter?", default=False, err=True)


async def _carried_out(client: Client, order: SuppressInput, output: Output) -> StepOutcome:
    try:
        handle = await _started(client, order)
    except WorkflowAlreadyStartedError as error:
        # Another person's reason must not stand for this one.
        raise Conflict("somebody else suppresses this finding just now; ask again in a moment") from error
    output.say("creating it; Ctrl-C stops waiting, not creating")
    try:
        outcome: StepOutcome = await handle.result()
    except WorkflowFailureError as error:
        raise Conflict(f"the workflow that creates it was ended: {clean(error.cause or error, 200)}") from error
    return outcome


async def _started(client: Client, order: SuppressInput) -> WorkflowHandle[Any, Any]:
    return await client.start_workflow(
        WorkflowName.SUPPRESS_FINDING.value,
        order,
        id=suppress_id(order.incident.workflow_id),
        task_queue=HOT_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        static_summary=f"suppress {clean(order.finding.id, 100)}: {clean(order.step.reason, 80)}",
        rpc_timeout=_RPC_TIMEOUT,
        result_type=StepOutcome,
    )


def _screen(proposed: Suppression) -> Group:
    lines = [Text(f"GuardDuty filter {proposed.name}, action ARCHIVE", style="bold")]
    lines += [Text(hanging("", words, 2, limit=700)) for words in proposed.words]
    lines += [Text(hanging("! ", words), style="yellow") for words in proposed.hides]
    return Group(*lines)


def _print(incident: str, proposed: Suppression, outcome: StepOutcome | None, message: str, output: Output) -> Code:
    failures = outcome.failures if outcome is not None else ()
    created = outcome is not None and outcome.complete
    document: dict[str, JsonValue] = {
        "incident": incident,
        "filter": proposed.name,
        "criteria": {f: {how: [*values] for how, values in c.items()} for f, c in proposed.criteria.items()},
        "hides": [*proposed.hides],
        "stands": created if outcome is not None else None,
        "failures": [f.model_dump(mode="json") for f in failures],
        "message": message,
    }
    output.result(document)
    output.line(clean(message, 300), "yellow" if outcome is None else "bold green" if created else "bold red")
    for failure in failures:
        output.line(f"  failed  {clean(failure.target, 200)}: {failure.code}, {clean(failure.message, 300)}", "red")
    return Code.DONE if outcome is None or created else Code.FAILED

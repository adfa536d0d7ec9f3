"""What `approve` and `deny` do: fill in what a decision must name, send it, and say what became of it."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue
from temporalio.client import (
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.service import RPCError, RPCStatusCode

from cli.commands import approve_command
from cli.connect import connect
from cli.ending import Code
from cli.gate_screen import preview_parts
from cli.ids import resolve
from cli.output import Output
from cli.reading import Reading, read_incident
from cli.signature import checked_reason, signed
from cli.text import clean
from contracts.incidents import Decision, DecisionAnswer, GateView, IncidentView
from contracts.names import Handler
from contracts.states import GateState, IncidentState, Verb
from errors import InputError, Unavailable
from plans.model import Gate

VALIDITY = timedelta(minutes=10)
_UPDATE_TIMEOUT = timedelta(seconds=15)
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:-]{0,255}@sha256:[0-9a-f]{64}")
_IMAGE_EXPECTED = "the fixed image as repository@sha256:<64 hexadecimal digits>"
_WHY = "a sentence that says why; it stands in the record"


@dataclass(frozen=True)
class Wish:
    """What the person asked for, as typed."""

    verb: Verb
    gate: str = ""
    reason: str = ""
    image: str = ""
    by: str = ""
    digest: str = ""
    nonce: str = ""

    def check(self) -> None:
        """Refuse what cannot be meant, before anything is asked or sent.

        Raises:
            InputError: An option is missing or malformed.
        """
        checked_reason(self.reason, _WHY)
        if self.gate and self.gate not in {g.value for g in Gate}:
            raise InputError("GATE", f"one of {', '.join(g.value for g in Gate)}", clean(self.gate, 60))
        if self.image and not _IMAGE.fullmatch(self.image):
            raise InputError("--image", _IMAGE_EXPECTED, clean(self.image, 100))
        if self.nonce and not (self.digest and self.gate):
            raise InputError("--nonce", "to be used together with GATE and --digest")


async def decide(text: str, wish: Wish, output: Output) -> Code:
    """Send one decision and print the answer."""
    wish.check()
    client = await connect(output)
    reading = await read_incident(client, await resolve(client, text))
    if not reading.open:
        state = reading.view.state if reading.view else None
        message = f"the incident is closed{f' as {state.value}' if state else ''}; nothing can be decided any more"
        return _print(reading, wish, DecisionAnswer(accepted=False, message=message), output, closed_as=state)
    decision = _decision(reading, wish)
    handle = client.get_workflow_handle(reading.brief.incident, run_id=reading.brief.run_id)
    _show_what_is_approved(reading, decision, output)
    answer = await _send(handle, decision) if reading.view else None
    if answer is None:
        await handle.signal(wish.verb.value, decision, rpc_timeout=_UPDATE_TIMEOUT)
    return _print(reading, wish, answer, output, gate=decision.gate)


def _show_what_is_approved(reading: Reading, decision: Decision, output: Output) -> None:
    """Whoever approves without having looked sees at least now what the steps behind the gate do."""
    gates = reading.view.gates if reading.view and decision.decision == Verb.APPROVE.value else ()
    for gate in gates:
        if gate.gate.value == decision.gate and reading.view is not None:
            output.show(*preview_parts(reading.view, gate))


def _decision(reading: Reading, wish: Wish) -> Decision:
    if reading.view is None:
        if not wish.nonce:
            raise Unavailable(
                f"{reading.note}; or queue the decision with GATE, --digest and --nonce from an earlier `show`"
            )
        gate, digest, nonce = wish.gate, wish.digest, wish.nonce
    else:
        chosen = choose_gate(reading.view, wish)
        if wish.digest and wish.digest != chosen.digest:
            raise InputError(
                "--digest", f"the digest of gate {chosen.gate.value}, {chosen.digest}", clean(wish.digest, 80)
            )
        gate, digest, nonce = chosen.gate.value, chosen.digest, wish.nonce or chosen.nonce
    return Decision(
        incident=reading.brief.incident,
        gate=gate,
        digest=digest,
        nonce=nonce,
        decision=wish.verb.value,
        by=signed(wish.by),
        reason=checked_reason(wish.reason, _WHY),
        expires=datetime.now(UTC) + VALIDITY,
        image=wish.image,
    )


def choose_gate(view: IncidentView, wish: Wish) -> GateView:
    """The gate that is meant: the one named, else the only one that waits.

    Raises:
        InputError: No such gate, none or several that wait, or the image is missing or out of place.
    """
    if wish.gate:
        gate = next((g for g in view.gates if g.gate.value == wish.gate), None)
        if gate is None:
            has = ", ".join(g.gate.value for g in view.gates) or "none"
            raise InputError("GATE", f"a gate of this incident; it has {has}", clean(wish.gate, 60))
    else:
        gate = _the_one_that_waits(view)
    if wish.verb is Verb.APPROVE and gate.needs_image and not wish.image:
        raise InputError("--image", f"{_IMAGE_EXPECTED}: gate {gate.gate.value} redeploys workloads")
    if wish.image and not gate.needs_image:
        raise InputError("--image", f"to be left out: gate {gate.gate.value} redeploys nothing")
    return gate


def _the_one_that_waits(view: IncidentView) -> GateView:
    waiting = [g for g in view.gates if g.state is GateState.WAITING]
    if len(waiting) == 1:
        return waiting[0]
    if waiting:
        commands = "; ".join(approve_command(view, g) for g in waiting)
        raise InputError("GATE", "the name of one gate", f"none, while {len(waiting)} wait: {commands}")
    expired = [g for g in view.gates if g.state is GateState.EXPIRED]
    hint = f"; expired, and reopened by naming it: {', '.join(g.gate.value for g in expired)}" if expired else ""
    raise InputError("GATE", "a gate that waits", f"none in state {view.state.value}{hint}")


async def _send(handle: WorkflowHandle[object, object], decision: Decision) -> DecisionAnswer | None:
    """The workflow's answer, or None when no worker gave one in time."""
    try:
        answer: DecisionAnswer = await handle.execute_update(
            Handler.DECIDE.value,
            decision,
            id=str(uuid.uuid4()),
            result_type=DecisionAnswer,
            rpc_timeout=_UPDATE_TIMEOUT,
        )
        return answer
    except WorkflowUpdateFailedError as error:
        return DecisionAnswer(accepted=False, message=clean(error.cause or error, 300), gate=decision.gate)
    except WorkflowUpdateRPCTimeoutOrCancelledError:
        return None
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return DecisionAnswer(accepted=False, message="the incident closed in the meantime", gate=decision.gate)
        if error.status in (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.FAILED_PRECONDITION):
            return None
        raise


def _print(
    reading: Reading,
    wish: Wish,
    answer: DecisionAnswer | None,
    output: Output,
    *,
    gate: str = "",
    closed_as: IncidentState | None = None,
) -> Code:
    message = answer.message if answer else "queued: no worker answered; the first one that runs takes the decision"
    document: dict[str, JsonValue] = {
        "incident": reading.brief.incident,
        "gate": gate or wish.gate or None,
        "decision": wish.verb.value,
        "accepted": answer.accepted if answer else None,
        "queued": answer is None,
        "message": message,
        "state": answer.state.value if answer and answer.state else None,
    }
    output.result(document)
    if answer is None:
        output.line(message, "bold yellow")
        return Code.DONE
    output.line(f"{'accepted' if answer.accepted else 'not accepted'}: {clean(message, 500)}",
                "bold green" if answer.accepted else "bold red")  # fmt: skip
    if answer.accepted:
        return Code.DONE
    # A decision for an expired gate makes it wait again; what became of this decision is still that it came too late.
    gates = reading.view.gates if reading.view else ()
    late = any(g.gate.value == gate and g.state in (GateState.EXPIRED, GateState.DENIED) for g in gates)
    refused = answer.state in (GateState.DENIED, GateState.EXPIRED) or closed_as is IncidentState.DENIED
    return Code.REFUSED if late or refused else Code.FAILED

"""What every scene does with incidents: put a finding into GuardDuty, start, decide at the gates, release."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import typer
from temporalio.client import Client

from cli.deciding import Wish, decide
from cli.demo.audited import write_attack
from cli.demo.stage import DemoError
from cli.demo.telling import Teller
from cli.ending import Code
from cli.gate_screen import preview_parts
from cli.plan_screen import plan_screen
from cli.reading import Reading
from cli.releasing import release_incident
from cli.starting import outcome_document
from cli.step_screen import open_tasks
from cli.text import clean
from cli.watching import Goal, follow_until, over, wait_until_over, waiting
from contracts.incidents import GateView, IncidentView
from contracts.names import Handler
from contracts.states import Containment, GateState, Verb
from contracts.steps import VERBS, TaskDone
from findings.reader import read_findings
from intake.start import start_incident

_PREVIEW_SECONDS = 8.0
_MOST_ASKED = 3
"""A gate waits again when a step behind it failed; the demo does not approve that without end."""


class Incidents:
    """The incidents of one demo.

    Args:
        teller: Tells what happens.
        client: Of Temporal.
        folder: Where the findings and the evidence are kept.
        ask: Whether a person decides; else the demo approves by itself.
    """

    def __init__(self, teller: Teller, client: Client, folder: Path, *, ask: bool) -> None:
        self.client = client
        self.folder = folder
        self._teller = teller
        self._ask = ask

    def publish(self, finding: dict[str, Any], name: str) -> Path:
        """Put a finding where GetFindings finds it, and what it tells of into the audit log; returns a file with it."""
        from devstack.aws.prepare import put_findings

        info = self._teller.info
        put_findings(info.aws_endpoint, region=info.region, detector_id=info.detector_id, findings=[finding])
        write_attack(info, finding)
        file = self.folder / f"finding-{name}.json"
        file.write_text(json.dumps({"Findings": [finding]}, indent=2), encoding="utf-8")
        return file

    async def start(self, file: Path) -> str:
        """Start the incident of a finding that was published; returns its workflow id."""
        [parsed] = read_findings(file.read_bytes())
        outcome = await start_incident(self.client, parsed, requested_by="firebreak demo")
        assert outcome_document(outcome)["outcome"] == "started"
        self._teller.tell(f"{outcome.incident}")
        self._teller.tell(f"in the Temporal UI: {self._teller.page(outcome.incident)}", "bold cyan")
        return outcome.incident

    async def follow(self, incident: str, goal: Goal) -> Reading:
        """Follow an incident until something is true of it."""
        return await follow_until(self.client, incident, self._teller.output, goal)

    async def decide(
        self, incident: str, image: str = "", *, only: str = "", stop: Goal | None = None
    ) -> tuple[Reading, Code]:
        """Decide at each gate that waits and do each task, until the incident is over or `stop` holds.

        Args:
            incident: The workflow id.
            image: The fixed image for a gate that needs one.
            only: Decide at no other gate.
            stop: Ends the waiting too.
        """
        asked = Counter[str]()
        while True:
            reading = await self.follow(incident, lambda r: _over_or_asks(r, only) or (stop is not None and stop(r)))
            code = over(reading)
            if code is not None or (stop is not None and stop(reading)):
                return reading, code or Code.DONE
            view = view_of(reading)
            gates = [g for g in view.gates if g.state is GateState.WAITING and only in ("", g.gate.value)]
            if not gates:
                await self._do_tasks(incident, view)
                continue
            asked[gates[0].gate.value] += 1
            if asked[gates[0].gate.value] > _MOST_ASKED:
                failed = "; ".join(f"{f.step} {f.target}: {f.message}" for f in view.failures[:5])
                raise DemoError(f"gate {gates[0].gate.value} asks again and again: {clean(failed, 500)}")
            view = await self._previewed(incident, gates[0])
            reading, code = await self._decide_one(incident, view, gates[0], image)
            if over(reading) is not None:
                return reading, code

    async def release(self, incident: str, reason: str) -> None:
        """Release an incident and wait until it is done.

        Raises:
            DemoError: Something could not be undone.
        """
        self._teller.tell(f"$ firebreak release {incident.rpartition('/')[2]} --reason {reason!r}")
        code = await release_incident(incident, reason=reason, by="", wait=True, output=self._teller.quiet())
        if code is not Code.DONE:
            raise DemoError(f"the incident could not be released; see `firebreak show {incident}`")

    async def _previewed(self, incident: str, gate: GateView) -> IncidentView:
        """The view once it says what the steps behind the gate would do; what cannot be read is not waited for."""
        end = time.monotonic() + _PREVIEW_SECONDS
        expected = {step for step in gate.steps if step in VERBS}
        reading = await self.follow(
            incident,
            lambda r: over(r) is not None or expected <= set(view_of(r).previews) or time.monotonic() > end,
        )
        return view_of(reading)

    async def _decide_one(self, incident: str, view: IncidentView, gate: GateView, image: str) -> tuple[Reading, Code]:
        verb, reason = self._verdict(view, gate, image)
        given = image if gate.needs_image and verb is Verb.APPROVE else ""
        self._teller.tell(
            f"$ firebreak {verb.value} {view.finding_id} {gate.gate.value} --reason {reason!r}"
            + (f" --image {given}" if given else "")
        )
        wish = Wish(verb, gate=gate.gate.value, reason=reason, image=given)
        await decide(incident, wish, self._teller.quiet())
        return await wait_until_over(
            self.client, incident, self._teller.output, None, stop=lambda r: _asks_again(r, gate) or _has_tasks(r)
        )

    def _verdict(self, view: IncidentView, gate: GateView, image: str) -> tuple[Verb, str]:
        err = self._teller.output.err
        if not self._ask:
            for part in preview_parts(view, gate):
                err.print(part)
            return Verb.APPROVE, "the demo approves by itself"
        if view.plan is not None:
            err.print(plan_screen(view.plan, dict(view.previews)))
        self._teller.tell(f"Gate {gate.gate.value} waits. It guards {', '.join(gate.steps)}.", "bold magenta")
        if gate.needs_image:
            self._teller.tell(f"The fixed image would be {image}")
        while True:
            answer = _ask()
            if answer in ("a", "approve"):
                return Verb.APPROVE, "approved in the demo"
            if answer in ("d", "deny"):
                return Verb.DENY, "denied in the demo"

    async def _do_tasks(self, incident: str, view: IncidentView) -> None:
        """What only a person can do, the demo can only say: it has nobody who would rotate a real password."""
        handle = self.client.get_workflow_handle(incident)
        for one in open_tasks(view):
            self._teller.tell(f"task {clean(one.task.id, 80)}: {clean(one.task.text, 300)}", "yellow")
            done = TaskDone(task=one.task.id, by="the demo", reason="there is nothing real behind it")
            self._teller.tell(f"$ firebreak task done {view.finding_id} {one.task.id} --reason {done.reason!r}")
            await handle.signal(Handler.TASK_DONE.value, done)
        ids = {t.task.id for t in open_tasks(view)}
        await self.follow(incident, lambda r: over(r) is not None or not ids & {t.task.id for t in _open(r)})


def view_of(reading: Reading) -> IncidentView:
    """What is known of the incident.

    Raises:
        DemoError: It could not be read.
    """
    if reading.view is None:
        raise DemoError(f"the incident could not be read: {reading.note}")
    return reading.view


def is_contained(reading: Reading) -> bool:
    """Whether containment has come to a first verdict, or the incident is over."""
    view = reading.view
    return view is not None and (view.containment not in (Containment.NONE,) or over(reading) is not None)


def _ask() -> str:
    """The person's answer. The prompt goes to stderr, so that stdout holds nothing but the result."""
    # The event loop's own handler only notes a Ctrl-C, which would leave the person in front of a deaf prompt.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return str(typer.prompt("[a]pprove or [d]eny", err=True)).strip().lower()
    finally:
        signal.signal(signal.SIGINT, previous)


def _open(reading: Reading) -> list[Any]:
    return list(open_tasks(reading.view)) if reading.view is not None else []


def _has_tasks(reading: Reading) -> bool:
    """Whether nothing but tasks is left to do."""
    view = reading.view
    return view is not None and bool(open_tasks(view)) and not waiting(view)


def _over_or_asks(reading: Reading, only: str) -> bool:
    asked = waiting(reading.view) if reading.view is not None else ()
    return over(reading) is not None or any(only in ("", gate) for gate in asked) or (not only and _has_tasks(reading))


def _asks_again(reading: Reading, gate: GateView) -> bool:
    """Whether another gate waits, or the same one again with another nonce."""
    gates = reading.view.gates if reading.view else ()
    return any(g.state is GateState.WAITING and g.nonce != gate.nonce for g in gates)

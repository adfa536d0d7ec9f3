"""What `demo` does: one incident from the finding to the report, and one that is released."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import typer
from rich.text import Text
from temporalio.client import Client

from cli.connect import connect, run_async
from cli.deciding import Wish, decide
from cli.demo_compare import IGNORED, differences, snapshot
from cli.demo_evidence import keep_evidence
from cli.demo_finding import finding_about
from cli.demo_stage import DemoError, Worker, await_worker, free_pods, settle, stage, worker_process
from cli.ending import Code
from cli.output import Output
from cli.plan_screen import plan_screen
from cli.reading import Reading, refresh
from cli.releasing import release_incident
from cli.screen import incident_screen
from cli.starting import outcome_document
from cli.text import counted, duration
from cli.watching import Goal, follow_until, over, wait_until_over, waiting
from contracts.incidents import GateView, IncidentView
from contracts.states import Containment, GateState, Verb
from errors import InputError
from findings.reader import read_findings
from intake.start import start_incident

if TYPE_CHECKING:
    from devstack.demo_workload import DemoWorkload
    from devstack.kube import KubeApi
    from devstack.stack import StackInfo


def demonstrate(approve: str, *, keep: bool, output: Output) -> Code:
    """Run the demo."""
    if approve not in ("ask", "auto"):
        raise InputError("--approve", "ask or auto", approve[:40])
    terminal = sys.stdin.isatty()
    if approve == "ask" and not terminal:
        raise InputError("--approve", "auto, because there is no terminal to ask in", "ask")
    leave = keep or approve == "ask"
    # What was started must end with the demo also when a build server ends it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with stage(output, leave=leave) as info, worker_process(info) as worker:
        code = run_async(_Demo(output, info, ask=approve == "ask").run(worker))
    if leave:
        output.line(f"\nThe stack still runs: Temporal UI {info.temporal_ui}, `firebreak list --all`.")
        output.line("For more incidents start a worker: firebreak worker.   To take everything down: firebreak down")
    return code


class _Demo:
    def __init__(self, output: Output, info: StackInfo, *, ask: bool) -> None:
        # Of the commands that are used on the way, only the last document may reach stdout.
        self._output = output
        self._info = info
        self._ask = ask
        self._folder = Path(tempfile.mkdtemp(prefix="firebreak-demo-"))

    async def run(self, worker: Worker) -> Code:
        from devstack.demo_workload import deploy_demo_workload
        from devstack.kube import KubeApi

        admin = KubeApi.from_kubeconfig(self._info.kubeconfig_admin)
        self._title("1  A workload with a vulnerable image")
        deploy_demo_workload(admin)
        # An earlier demo may have left another image, of which the pods are still being replaced.
        settle(admin)
        workload = free_pods(admin, deploy_demo_workload(admin))
        self._tell(f"deployed {workload.namespace}/{workload.deployment}, {counted(len(workload.pods), 'pod')}, image")
        self._tell(f"  {workload.image}")
        client = await connect(self._output)
        await await_worker(client, worker)

        first = await self._incident(client, workload, loud=True)
        reading, code = await self._decide(client, first, workload)
        if code is not Code.DONE:
            self._tell("nothing more is done, and the pod stays contained until somebody releases it:", "bold yellow")
            self._tell(f"$ firebreak release {first.rpartition('/')[2]} --reason 'denied'")
            await release_incident(first, reason="denied in the demo", by="", wait=True, output=self._quiet())
            reading = await refresh(client, first)
        self._title("5  The end of it")
        self._output.show(incident_screen(reading))
        report = keep_evidence(_view(reading), self._folder, self._tell)

        released = await self._release(client, admin)
        self._title("That was it")
        self._tell(f"report             {report}", "bold")
        self._tell("evidence           verified: nothing was changed, removed or added", "bold green")
        as_it_was = "released, the cluster is NOT as it was" if released else "released, the cluster is as it was"
        self._tell(f"second incident    {as_it_was}", "bold red" if released else "bold green")
        self._output.result({
            "ok": code is Code.DONE and not released,
            "incident": first,
            "state": reading.view.state.value if reading.view else reading.brief.state,
            "report": str(report),
            "evidence_verified": True,
            "differences_after_release": [*released],
        })  # fmt: skip
        return Code.FAILED if released else code

    # The scenes

    async def _incident(self, client: Client, workload: DemoWorkload, *, loud: bool) -> str:
        """Put a finding about one pod into GuardDuty, start its incident, and wait until the pod is contained."""
        from devstack.aws.prepare import put_findings

        if loud:
            self._title("2  A finding of GuardDuty")
        finding = finding_about(workload.pods[0], workload, self._info, self._tell if loud else None)
        put_findings(
            self._info.aws_endpoint, region=self._info.region, detector_id=self._info.detector_id, findings=[finding]
        )
        file = self._folder / f"finding-{1 if loud else 2}.json"
        file.write_text(json.dumps({"Findings": [finding]}, indent=2), encoding="utf-8")
        [parsed] = read_findings(file.read_bytes())
        if loud:
            self._title("3  Containment")
            self._tell(f"$ firebreak start {file}")
        outcome = await start_incident(client, parsed, requested_by="firebreak demo")
        assert outcome_document(outcome)["outcome"] == "started"
        self._tell(f"{outcome.incident}")
        self._tell(f"in the Temporal UI: {self._page(outcome.incident)}", "bold cyan")
        reading = await follow_until(client, outcome.incident, self._output, _is_contained)
        view = _view(reading)
        if view.containment is not Containment.VERIFIED:
            raise DemoError(f"the pod was not contained: {view.containment.value} {' '.join(view.reasons)}")
        assert view.timings.received is not None
        assert view.timings.contained is not None
        took = duration(view.timings.contained - view.timings.received)
        names = ", ".join(f"{p.namespace}/{p.name}" for p in view.pods.inline)
        self._tell(f"{names} contained and verified {took} after the start", "bold green")
        return outcome.incident

    async def _decide(self, client: Client, incident: str, workload: DemoWorkload) -> tuple[Reading, Code]:
        """Decide at each gate that waits, until the incident is over."""
        self._title("4  Approval")
        while True:
            reading = await follow_until(client, incident, self._output, _is_over_or_waits)
            code = over(reading)
            if code is not None:
                return reading, code
            view = _view(reading)
            gate = next(g for g in view.gates if g.state is GateState.WAITING)
            verb, reason = self._verdict(view, gate, workload)
            image = workload.clean_image if gate.needs_image and verb is Verb.APPROVE else ""
            self._tell(f"$ firebreak {verb.value} {view.finding_id} {gate.gate.value} --reason {reason!r}"
                       + (f" --image {image}" if image else ""))  # fmt: skip
            await decide(incident, Wish(verb, gate=gate.gate.value, reason=reason, image=image), self._quiet())
            reading, code = await wait_until_over(client, incident, self._output, None, stop=_asks_again(gate))
            if over(reading) is not None:
                return reading, code

    def _verdict(self, view: IncidentView, gate: GateView, workload: DemoWorkload) -> tuple[Verb, str]:
        if not self._ask:
            return Verb.APPROVE, "the demo approves by itself"
        if view.plan is not None:
            self._output.err.print(plan_screen(view.plan))
        self._tell(f"Gate {gate.gate.value} waits. It guards {', '.join(gate.steps)}.", "bold magenta")
        if gate.needs_image:
            self._tell(f"The fixed image would be {workload.clean_image}")
        while True:
            answer = _ask()
            if answer in ("a", "approve"):
                return Verb.APPROVE, "approved in the demo"
            if answer in ("d", "deny"):
                return Verb.DENY, "denied in the demo"

    async def _release(self, client: Client, admin: KubeApi) -> list[str]:
        """A second incident that turns out to be a false alarm: release it and compare the cluster."""
        from devstack.demo_workload import deploy_demo_workload

        self._title("6  A second incident, released")
        deploy_demo_workload(admin)
        settle(admin)
        workload = free_pods(admin, deploy_demo_workload(admin))
        before = snapshot(admin, workload.namespace)
        incident = await self._incident(client, workload, loud=False)
        held = differences(before, snapshot(admin, workload.namespace))
        self._tell(f"while it is held, {counted(len(held), 'field')} of the cluster's objects differ")
        self._tell("$ firebreak release " + incident.rpartition("/")[2] + " --reason 'false alarm'")
        code = await release_incident(incident, reason="false alarm", by="", wait=True, output=self._quiet())
        if code is not Code.DONE:
            raise DemoError(f"the second incident could not be released; see `firebreak show {incident}`")
        left = differences(before, snapshot(admin, workload.namespace))
        for line in left:
            self._tell(line, "bold red")
        if not left:
            self._tell(f"{counted(len(before), 'object')} are as they were, apart from {IGNORED}", "bold green")
        return left

    # Telling

    def _title(self, text: str) -> None:
        self._output.err.print(Text(f"\n{text}", style="bold underline"))

    def _tell(self, text: str, style: str = "") -> None:
        self._output.say(f"  {text}", style=style)

    def _quiet(self) -> Output:
        return Output(silent=True)

    def _page(self, incident: str) -> str:
        return f"{self._info.temporal_ui}/namespaces/default/workflows/{quote(incident, safe='')}"


def _ask() -> str:
    """The person's answer. The prompt goes to stderr, so that stdout holds nothing but the result."""
    # The event loop's own handler only notes a Ctrl-C, which would leave the person in front of a deaf prompt.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return str(typer.prompt("[a]pprove or [d]eny", err=True)).strip().lower()
    finally:
        signal.signal(signal.SIGINT, previous)


def _view(reading: Reading) -> IncidentView:
    if reading.view is None:
        raise DemoError(f"the incident could not be read: {reading.note}")
    return reading.view


def _is_contained(reading: Reading) -> bool:
    view = reading.view
    return view is not None and (view.containment not in (Containment.NONE,) or over(reading) is not None)


def _is_over_or_waits(reading: Reading) -> bool:
    return over(reading) is not None or (reading.view is not None and bool(waiting(reading.view)))


def _asks_again(gate: GateView) -> Goal:
    """Another gate waits, or the same one again with another nonce."""
    nonce = gate.nonce

    def asks(reading: Reading) -> bool:
        gates = reading.view.gates if reading.view else ()
        return any(g.state is GateState.WAITING and g.nonce != nonce for g in gates)

    return asks

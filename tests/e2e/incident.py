"""One running incident, as a person or an integration sees it: people decide, finish tasks and release by command."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from subprocess import CompletedProcess
from typing import Any, TypeVar

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError

from contracts.common import IncidentKey
from contracts.incidents import Decision, DecisionAnswer, GateView, IncidentView
from contracts.names import Handler
from contracts.states import Containment, GateState
from contracts.steps import Task
from devstack.demo_workload import CLEAN_IMAGE

T = TypeVar("T")
Command = Callable[..., Awaitable[CompletedProcess[str]]]
"""Runs `firebreak` with some arguments and --json."""
PATIENCE = 120.0
"""Seconds. Generous, because machines are busy; nothing waits so long unless something is broken."""

_SAID = ("--by", "ada", "--reason", "seen and agreed")


async def eventually(probe: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """The first true answer of a probe."""

    async def ask() -> T:
        return probe()

    return await eventually_async(ask, what, seconds)


async def eventually_async(probe: Callable[[], Awaitable[T]], what: str, seconds: float = PATIENCE) -> T:
    """The first true answer of a probe; nothing tells tests when a cluster has come to rest, so it is asked."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        if answer := await probe():
            return answer
        assert asyncio.get_running_loop().time() < end, f"{what}: not within {seconds:g} s"
        await asyncio.sleep(0.1)


class Incident:
    """A handle on one incident's workflow."""

    def __init__(self, client: Client, workflow_id: str, command: Command) -> None:
        self.id = workflow_id
        self._command = command
        self.client = client
        self.handle: WorkflowHandle[Any, IncidentView] = client.get_workflow_handle(
            workflow_id, result_type=IncidentView
        )

    async def view(self) -> IncidentView:
        """What `show` prints."""
        view: IncidentView = await self.handle.query(
            Handler.STATUS.value, result_type=IncidentView, rpc_timeout=timedelta(seconds=20)
        )
        return view

    async def until(
        self, condition: Callable[[IncidentView], bool], what: str, seconds: float = PATIENCE
    ) -> IncidentView:
        """The view once a condition holds; the failure shows where the incident stands instead."""
        last: list[IncidentView] = []

        async def look() -> bool:
            try:
                last[:] = [await self.view()]
            except RPCError:
                # No worker answers at the moment, which is what some tests are about.
                return False
            return condition(last[0])

        try:
            await eventually_async(look, what, seconds)
        except AssertionError as error:
            shown = last[0].model_dump_json(indent=1, exclude={"plan"}) if last else "never seen"
            raise AssertionError(f"{error}\n{shown}") from None
        return last[0]

    async def contained(self, seconds: float = PATIENCE) -> IncidentView:
        """The view once containment is verified."""
        return await self.until(lambda v: v.containment is Containment.VERIFIED, "containment verified", seconds)

    async def waiting(self, gate: str = "eradicate", seconds: float = PATIENCE) -> GateView:
        """A gate, once it waits for a decision."""
        view = await self.until(lambda v: bool(_waiting(v, gate)), f"gate {gate} waits", seconds)
        return _waiting(view, gate)[0]

    async def collected(self, seconds: float = PATIENCE) -> IncidentView:
        """The view once the evidence is in."""
        return await self.until(lambda v: step_state(v, "pod.collect") == "done", "evidence collected", seconds)

    def decision(self, gate: GateView, **changed: Any) -> Decision:
        """A complete decision of that gate, or one that differs in some fields."""
        fields: dict[str, Any] = {
            "incident": self.id,
            "gate": gate.gate.value,
            "digest": gate.digest,
            "nonce": gate.nonce,
            "decision": "approve",
            "by": "ada",
            "reason": "seen and agreed",
            "expires": datetime.now(UTC) + timedelta(hours=1),
            "image": CLEAN_IMAGE if gate.needs_image else "",
        }
        return Decision.model_validate(fields | changed)

    async def decide(self, decision: Decision) -> DecisionAnswer:
        """Decide by update, and take the answer."""
        answer: DecisionAnswer = await self.handle.execute_update(
            Handler.DECIDE.value, decision, result_type=DecisionAnswer
        )
        return answer

    async def approve(self, name: str = "eradicate", *, image: str = "") -> DecisionAnswer:
        """Approve a gate by command once it waits."""
        gate = await self.waiting(name)
        ended = await self._command("approve", self.id, gate.gate.value, *_SAID, *_fixed(gate, image))
        assert ended.stdout, ended.stderr
        answer = json.loads(ended.stdout)
        assert not answer["queued"], "a worker runs, and answers"
        return DecisionAnswer(accepted=answer["accepted"], message=answer["message"])

    async def finish(self, task: Task) -> None:
        """Say by command that a task is done."""
        ended = await self._command("task", "done", self.id, task.id, *_SAID)
        assert ended.returncode == 0, ended.stderr

    async def approve_everything(self, seconds: float = PATIENCE, image: str = "") -> IncidentView:
        """Approve every gate as often as it waits, and do every task, until the incident ends."""

        async def ended() -> bool:
            if not await self.is_open():
                return True
            with suppress(RPCError):
                view = await self.view()
                for gate in (g for g in view.gates if g.state is GateState.WAITING):
                    # What opened or closed a gate since then makes this one refused, and the next look finds it.
                    await self._command("approve", self.id, gate.gate.value, *_SAID, *_fixed(gate, image))
                for task in (t.task for t in view.tasks if not t.done):
                    await self.finish(task)
            return False

        await eventually_async(ended, "every gate approved and every task done", seconds)
        return await self.result()

    async def release(self, seconds: float = PATIENCE) -> IncidentView:
        """Release by command, which waits for the end."""
        ended = await self._command("release", self.id, *_SAID)
        assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
        return await self.result(seconds)

    async def result(self, seconds: float = PATIENCE) -> IncidentView:
        """What the incident came to."""
        try:
            async with asyncio.timeout(seconds):
                return await self.handle.result()
        except TimeoutError:
            raise AssertionError((await self.view()).model_dump_json(indent=1, exclude={"plan"})) from None

    async def is_open(self) -> bool:
        """Whether it runs."""
        return (await self.handle.describe()).status is WorkflowExecutionStatus.RUNNING


def key_of(view: IncidentView) -> IncidentKey:
    """The identity under which an incident keeps its evidence."""
    return IncidentKey(workflow_id=view.incident, run_id=view.run_id)


def step_state(view: IncidentView, step: str) -> str:
    """Where a step stands, or an empty string when the incident has no such step."""
    return next((s.state.value for s in view.steps if s.step == step), "")


def gate_state(view: IncidentView, gate: str) -> GateState | None:
    """Where a gate stands."""
    return next((g.state for g in view.gates if g.gate.value == gate), None)


def _fixed(gate: GateView, image: str) -> tuple[str, ...]:
    return ("--image", image or CLEAN_IMAGE) if gate.needs_image else ()


def _waiting(view: IncidentView, gate: str) -> list[GateView]:
    return [g for g in view.gates if g.gate.value == gate and g.state is GateState.WAITING]

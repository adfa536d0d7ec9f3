"""A Temporal server that can skip time, and incidents whose activities answer from a script."""

from __future__ import annotations

import asyncio
import shutil
import sysconfig
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment
from temporalio.worker import Worker

from contracts.incidents import Decision, DecisionAnswer, IncidentInput, IncidentView
from contracts.names import (
    CLUSTER,
    FINDING_ID,
    FINDING_TYPE,
    GATE,
    HOT_QUEUE,
    SEVERITY,
    SLOW_QUEUE,
    STATE,
    ActivityName,
    Handler,
    WorkflowName,
)
from findings.model import Finding
from findings.reader import read_findings
from tests.findings import builders
from tests.workflows.fakes import IMAGE, Script, fake_activities
from tests.workflows.holding import HoldingRunner
from workflows.registry import WORKFLOWS
from workflows.sandbox import workflow_runner


def temporal_binary() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "temporal"
    found = str(beside) if beside.exists() else shutil.which("temporal")
    assert found, "the temporal binary comes with the dev dependencies"
    return found


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    async with await WorkflowEnvironment.start_time_skipping_v2(
        ts_config=TimeSkippingConfig(enabled=False),
        data_converter=pydantic_data_converter,
        dev_server_existing_path=temporal_binary(),
        search_attributes=[FINDING_ID, FINDING_TYPE, CLUSTER, STATE, GATE, SEVERITY],
        dev_server_extra_args=[
            "--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=60",
            "--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true",
            "--dynamic-config-value", "history.transferProcessorMaxPollRPS=2000",
            "--dynamic-config-value", "history.timerProcessorMaxPollRPS=2000",
        ],
    ) as env:  # fmt: skip
        yield env


def finding(**more: object) -> Finding:
    detail = builders.detail(severity=8.0, type=builders.PRIVILEGED)
    detail["resource"]["kubernetesDetails"] = {
        "kubernetesUserDetails": builders.user("system:serviceaccount:shop:checkout"),
        "kubernetesWorkloadDetails": builders.workload("checkout", "deployments", serviceAccountName="checkout"),
    }
    return read_findings(builders.dumps(detail))[0].model_copy(update=more)


@dataclass
class Incident:
    """One running incident and its script."""

    env: WorkflowEnvironment
    handle: WorkflowHandle[object, IncidentView]
    script: Script
    runner: HoldingRunner

    def path(self, name: str) -> WorkflowHandle[object, object]:
        """The workflow of one of its paths."""
        return self.env.client.get_workflow_handle(f"{self.handle.id}/{name}")

    @asynccontextmanager
    async def held(self, name: WorkflowName, handle: WorkflowHandle[Any, Any]) -> AsyncIterator[None]:
        """What happens in the block reaches this workflow at once, when the block ends."""
        with self.runner.hold(name) as began:
            # It is told something that changes nothing, so that it is busy with that when the rest comes.
            await handle.signal("not-known" if name is WorkflowName.REMEDIATE_FINDING else Handler.END)
            await asyncio.to_thread(began.wait, 10)
            yield

    async def view(self) -> IncidentView:
        view: IncidentView = await self.handle.query(Handler.STATUS, result_type=IncidentView)
        return view

    async def until(self, condition: Callable[[IncidentView], bool], seconds: float = 20) -> IncidentView:
        """Await a condition on the view; the failure shows the view."""
        view: IncidentView | None = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    view = await self.view()
                    if condition(view):
                        return view
                    await asyncio.sleep(0.02)
        except TimeoutError:
            seen = view.model_dump_json(indent=1, exclude={"plan"}) if view else "no answer"
            raise AssertionError(f"not reached: {seen}") from None

    async def decision(self, gate: str = "eradicate", **changed: object) -> Decision:
        view = await self.until(lambda v: any(g.gate == gate for g in v.gates))
        found = next(g for g in view.gates if g.gate == gate)
        fields = {
            "incident": view.incident,
            "gate": gate,
            "digest": found.digest,
            "nonce": found.nonce,
            "decision": "approve",
            "by": "ada",
            "reason": "seen and agreed",
            "expires": datetime.now(UTC) + timedelta(days=365),
            "image": IMAGE if found.needs_image else "",
        }
        return Decision.model_validate(fields | changed)

    async def decide(self, gate: str = "eradicate", **changed: object) -> DecisionAnswer:
        decision = await self.decision(gate, **changed)
        answer: DecisionAnswer = await self.handle.execute_update(Handler.DECIDE, decision, result_type=DecisionAnswer)
        return answer

    async def skip(self, duration: timedelta, path: str = "pod") -> None:
        """Let time pass for one path of the incident, which has a clock of its own."""
        handle = self.path(path)
        await self.until(lambda _: bool(self.script.called(ActivityName.ISOLATE_PODS)))
        async with asyncio.timeout(20):
            await self.env.fast_forward(handle, duration)

    async def result(self, seconds: float = 20) -> IncidentView:
        try:
            async with asyncio.timeout(seconds):
                return await self.handle.result()
        except TimeoutError:
            seen = (await self.view()).model_dump_json(indent=1, exclude={"plan"})
            raise AssertionError(f"still open: {seen}") from None


@pytest.fixture
async def start(server: WorkflowEnvironment) -> AsyncIterator[Callable[..., object]]:
    """Start an incident against a script, with a worker of its own on queues of its own."""
    async with _Workers(server) as workers:
        yield workers.start


class _Workers:
    def __init__(self, env: WorkflowEnvironment) -> None:
        self._env = env
        self._script = Script()
        self._runner = HoldingRunner(workflow_runner())
        self._started: list[WorkflowHandle[object, IncidentView]] = []

    async def __aenter__(self) -> _Workers:
        self._running = self._run()
        await self._running.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        for event in self._script.gate.values():
            event.set()
        for handle in self._started:
            # An incident that a test left open would go on against the next test's script.
            with suppress(RPCError):
                await handle.terminate("the test is over")
        await self._running.__aexit__(None, None, None)

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[None]:
        activities = fake_activities(self._script)
        client = self._env.client
        async with (
            Worker(
                client,
                task_queue=HOT_QUEUE,
                workflows=WORKFLOWS,
                workflow_runner=self._runner,
                activities=activities,
            ),
            Worker(client, task_queue=SLOW_QUEUE, activities=activities),
        ):
            yield

    async def start(self, script: Script | None = None, found: Finding | None = None) -> Incident:
        if script is not None:
            self._script.__dict__.update(script.__dict__)
        handle = await self._env.client.start_workflow(
            WorkflowName.REMEDIATE_FINDING.value,
            IncidentInput(finding=found or finding(), received=datetime.now(UTC)),
            id=f"gd/111122223333/eu-central-1/{uuid.uuid4().hex}",
            task_queue=HOT_QUEUE,
            result_type=IncidentView,
        )
        self._started.append(handle)
        return Incident(self._env, handle, self._script, self._runner)

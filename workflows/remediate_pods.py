"""RemediatePods: contain the pods, keep their evidence, replace and delete them (guide P1 to P8)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from temporalio import workflow

from contracts.activities import CollectRequest, CollectResult, RestoreRequest, RestoreResult, SealRequest
from contracts.common import EvidenceState, StoredList
from contracts.incidents import GateOpened, Observation, PathInput, PathProgress, RetryRequest
from contracts.names import ActivityName, Handler, WorkflowName
from contracts.states import StepState
from plans.model import Gate
from workflows.calls import StepFailed, Stopped, call, outlive
from workflows.containment import ContainmentLoop
from workflows.eradication import eradicate
from workflows.path_state import PathState, pods


@workflow.defn(name=WorkflowName.REMEDIATE_PODS)
class RemediatePods:
    """One path, the whole chain. It waits at gates for its incident, and ends when it holds nothing or is stopped."""

    @workflow.init
    def __init__(self, start: PathInput) -> None:
        self._state = PathState(start)
        quarantine = self._state.step("quarantine")
        self._containment = ContainmentLoop(self._state, quarantine.step) if quarantine else None
        self._loop_task: asyncio.Task[None] | None = None
        self._retries: list[str] = []

    @workflow.run
    async def run(self, start: PathInput) -> PathProgress:
        """Contain → collect → eradicate → take containment's own changes away."""
        try:
            self._keep_contained()
            await self._contain_if_open()
            await self._collect()
            await self._contained()
            await self._eradicate()
            await self._clean_up()
            # What is still held is kept contained until the incident is released.
            await self._wait(lambda: False)
        except Stopped:
            pass
        return await self._end()

    # Phases

    async def _contain_if_open(self) -> None:
        """Containment never waits for evidence; evidence does not wait for a person either (design: Order)."""
        loop = self._containment
        if loop is not None and Gate.CONTAIN in self._state.open:
            await self._wait(lambda: loop.tried or loop.settled)

    def _keep_contained(self) -> None:
        """From now on, whatever else the path waits for, its pods are contained once the gate is open."""
        loop = self._containment
        if loop is None:
            return

        async def keep() -> None:
            await outlive(workflow.wait_condition(lambda: self._state.stopped or Gate.CONTAIN in self._state.open))
            await loop.run(lambda: self._state.stopped)

        self._loop_task = asyncio.create_task(keep())

    async def _contained(self) -> None:
        """Until the first verdict stands."""
        loop, task = self._containment, self._loop_task
        if loop is None or task is None:
            return
        await self._wait(lambda: loop.settled or task.done())
        if task.done():
            task.result()

    async def _collect(self) -> None:
        step = self._state.step("collect")
        while step is not None and not self._state.done(step.step):
            self._state.mark(step.step, StepState.RUNNING)
            await self._state.report()
            try:
                await self._collect_once(step.step)
            except StepFailed as failed:
                self._state.mark(step.step, StepState.FAILED, failed.message, [failed.failure(step.step)])
                await self._state.report()
                await self._wait_for_retry(step.step)

    async def _collect_once(self, step: str) -> None:
        state = self._state
        collected = await call(
            ActivityName.COLLECT_PODS,
            CollectRequest(incident=state.incident, step=step, pods=state.pods),
            CollectResult,
            summary=f"what the API server knows about {pods(state.pods.count)}",
            abandon=lambda: state.stopped,
        )
        await self._seal("collect", (collected.entries,) if collected.entries else ())
        failed = f", {len(collected.failures)} collectors failed" if collected.failures else ""
        state.mark(step, StepState.DONE, f"{collected.artefacts} artefacts collected{failed}", list(collected.failures))
        await state.report()

    async def _eradicate(self) -> None:
        state = self._state
        steps = [s for s in (state.step("redeploy"), state.step("delete")) if s is not None]
        while steps and not all(state.done(s.step) for s in steps):
            await self._wait(lambda: Gate.ERADICATE in state.open)
            self._suspend(True)
            await self._wait(lambda: self._containment is None or self._containment.idle)
            # Taken only now: at each wait the path may go on in a new run, which must find the gate open.
            opened = state.open.pop(Gate.ERADICATE)
            failed = await eradicate(state, opened, lambda: state.stopped)
            self._suspend(False)
            await self._seal("eradicate")
            if failed:
                # What was not replaced is held again, and the incident asks once more.
                self._wake()
                await state.report(failed)

    async def _clean_up(self) -> None:
        """The last target is gone: policies, selector edits and labels of containment go too; the fix stays."""
        state = self._state
        if not state.holding and all(state.done(name) for name in state.plan):
            # A workload without any pod: nothing was contained, so nothing is to be kept contained either.
            raise Stopped
        delete = state.step("delete")
        if delete is None or not state.done(delete.step) or state.deletable.count < state.pods.count:
            # Something is left that containment is for.
            await state.report()
            return
        self._suspend(True)
        fixes = {s.step for s in (state.step("redeploy"), delete) if s is not None}
        changes = tuple(c for c in state.changes.values() if c.step not in fixes)
        try:
            restored = await call(
                ActivityName.RESTORE_CHANGES,
                RestoreRequest(incident=state.incident, changes=changes, pods=state.pods, step="pod.clean-up"),
                RestoreResult,
                summary="take containment's policies and selector edits away",
            )
        except StepFailed as failed:
            state.failures["pod.clean-up"] = [failed.failure("pod.clean-up")]
            await state.report()
            return
        state.undo(restored.undone)
        state.failures["pod.clean-up"] = list(restored.failures)
        state.holding = bool(restored.failures)
        if self._containment is not None:
            self._containment.targets_gone()
        await self._seal("clean-up")
        if not state.holding:
            raise Stopped

    async def _end(self) -> PathProgress:
        """Let what runs come to its end, and say what was reached."""
        self._state.stopped = True
        if self._loop_task is not None:
            await outlive(self._loop_task)
        for name, status in self._state.steps.copy().items():
            if status.state is StepState.RUNNING:
                self._state.mark(name, StepState.FAILED, "stopped before its end")
        await outlive(workflow.wait_condition(workflow.all_handlers_finished))
        return self._state.progress()

    async def _seal(self, phase: str, entries: tuple[StoredList, ...] = ()) -> None:
        state = self._state
        try:
            state.evidence = await call(
                ActivityName.SEAL_EVIDENCE,
                SealRequest(
                    incident=state.incident,
                    phase=phase,
                    entries=entries,
                    changes=tuple(state.changes.values()),
                    undone=tuple(state.all_undone),
                ),
                EvidenceState,
                summary=f"seal the evidence of {phase}",
            )
        except StepFailed as failed:
            if entries:
                raise
            # Changes are in history in any case; a manifest that could not be written is said, and blocks nothing.
            state.failures[f"seal {phase}"] = [failed.failure(f"seal {phase}")]

    # Waiting

    async def _wait(self, condition: Callable[[], bool]) -> None:
        """Until the condition holds. A history that has grown long is left for a new run at such a moment of rest."""
        await outlive(workflow.wait_condition(lambda: self._state.stopped or condition() or self._may_renew()))
        if self._state.stopped:
            raise Stopped
        if not condition():
            workflow.continue_as_new(self._state.continuation())

    def _may_renew(self) -> bool:
        resting = self._containment is None or self._containment.idle
        return resting and workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished()

    async def _wait_for_retry(self, step: str) -> None:
        await self._wait(lambda: step in self._retries)
        self._retries = [r for r in self._retries if r != step]

    def _suspend(self, suspended: bool) -> None:
        if self._containment is not None:
            self._containment.suspended = suspended

    def _wake(self) -> None:
        if self._containment is not None:
            self._containment.wake()

    # Handlers

    @workflow.signal(name=Handler.GATE_OPENED)
    def gate_opened(self, opened: GateOpened) -> None:
        """The incident passed a gate."""
        self._state.open[opened.gate] = opened

    @workflow.signal(name=Handler.OBSERVE)
    def observe(self, seen: Observation) -> None:
        """Look again: the finding was repeated, or containment drifted."""
        self._wake()

    @workflow.signal(name=Handler.RETRY)
    def retry(self, again: RetryRequest) -> None:
        """One failed step again."""
        self._retries.append(again.step)
        self._wake()

    @workflow.signal(name=Handler.STOP)
    def stop(self) -> None:
        """End: what runs is finished, what only reads is abandoned."""
        self._state.stopped = True

    @workflow.query(name=Handler.STATUS)
    def status(self) -> PathProgress:
        """What the path has reached."""
        return self._state.view()

"""The chain of steps on pods: contain them, keep their evidence, replace and delete them (guide P1 to P8)."""

from __future__ import annotations

import asyncio

from temporalio import workflow

from contracts.activities import CollectRequest, CollectResult, RestoreRequest, RestoreResult
from contracts.incidents import GateOpened
from contracts.names import ActivityName
from contracts.states import StepState
from contracts.steps import VERBS
from contracts.words import sized
from plans.model import Gate, Path
from workflows.calls import StepFailed, Stopped, call, outlive
from workflows.containment import ContainmentLoop
from workflows.course import Rest
from workflows.eradication import eradicate
from workflows.path_state import PathState, pods
from workflows.sealing import seal


class PodChain:
    """What RemediatePods does, and RemediateImage for the pods of the image. See `workflows.course.Chain`."""

    def __init__(self, state: PathState) -> None:
        self._state = state
        self._rest = Rest(state)
        self._quarantine = state.step("quarantine")
        self._containment = ContainmentLoop(state, self._quarantine.step) if self._quarantine else None
        self._loop_task: asyncio.Task[None] | None = None
        self._ended = False
        self._retries: list[str] = []
        self._steps = [
            s for s in (self._quarantine, state.step("collect"), state.step("redeploy"), state.delete_step) if s
        ]
        # After a failure the incident asks again, so an opening of before it counts no more.
        failed = any(state.failed(s.step) for s in self._steps if s.gate is Gate.ERADICATE)
        self._opened = None if failed else state.open.get(Gate.ERADICATE)

    @property
    def resting(self) -> bool:
        """Whether a new run could go on from here."""
        loop = self._containment
        return self._rest.resting and (loop is None or (loop.idle and not loop.woken))

    @property
    def finished(self) -> bool:
        """Never: it ends when nothing is left to do, because the pods are gone then."""
        return False

    def wake(self) -> None:
        """Look again whether containment holds."""
        if self._containment is not None:
            self._containment.wake()

    def retry(self, step: str) -> None:
        """One failed step again."""
        self._retries.append(step)

    def gate_opened(self, opened: GateOpened) -> None:
        """A gate was passed."""
        if opened.gate is Gate.ERADICATE:
            self._opened = opened

    async def run(self) -> None:
        """Contain → collect → eradicate → take containment's own changes away."""
        try:
            self._keep_contained()
            await self._contain_if_open()
            await self._collect()
            await self._contained()
            await self._eradicate()
            await self._clean_up()
            # What is still held is kept contained until the incident is released.
            await self._rest.until(lambda: False)
        except Stopped:
            # Let what runs come to its end. Not in a `finally`: a workflow that is put out of memory must not wait.
            self._ended = True
            if self._loop_task is not None:
                await outlive(self._loop_task)

    @property
    def _stopping(self) -> bool:
        return self._state.stopped or self._ended

    # Phases

    async def _contain_if_open(self) -> None:
        """Containment never waits for evidence; evidence does not wait for a person either (design: Order)."""
        loop = self._containment
        if loop is not None and self._quarantine is not None and self._state.may_contain(self._quarantine):
            await self._rest.until(lambda: loop.tried or loop.settled)

    def _keep_contained(self) -> None:
        """From now on, whatever else the path waits for, its pods are contained once the gate is open."""
        loop, step = self._containment, self._quarantine
        if loop is None or step is None:
            return

        async def keep() -> None:
            await outlive(workflow.wait_condition(lambda: self._stopping or self._state.may_contain(step)))
            await loop.run(lambda: self._stopping)

        self._loop_task = asyncio.create_task(keep())

    async def _contained(self) -> None:
        """Until the first verdict stands."""
        loop, task = self._containment, self._loop_task
        if loop is None or task is None:
            return
        await self._rest.until(lambda: loop.settled or task.done())
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
                await self._rest.until(lambda: step.step in self._retries)
                self._retries = [r for r in self._retries if r != step.step]

    async def _collect_once(self, step: str) -> None:
        state = self._state
        finding = state.start.finding
        collected = await call(
            ActivityName.COLLECT_PODS,
            CollectRequest(
                incident=state.incident,
                step=step,
                pods=state.pods,
                node_view_image=state.assessment.node_view_image,
                first_seen=finding.first_seen if finding is not None else None,
                last_seen=finding.last_activity if finding is not None else None,
            ),
            CollectResult,
            summary=f"what is known about {pods(state.pods.count)}",
            abandon=lambda: state.stopped,
        )
        state.proposals = collected.proposals
        await seal(state, "collect", (collected.entries,) if collected.entries else ())
        failed = f", {len(collected.failures)} collectors failed" if collected.failures else ""
        what = f"{collected.artefacts} artefacts collected, {sized(collected.bytes)}{failed}"
        state.mark(step, StepState.DONE, what, list(collected.failures))
        await state.report()

    async def _eradicate(self) -> None:
        state = self._state
        steps = [s for s in self._steps if s.gate is Gate.ERADICATE]
        while steps and not all(state.done(s.step) for s in steps):
            await self._rest.until(lambda: self._opened is not None)
            await self._suspend()
            # Taken only now: at each wait the path may go on in a new run, which must find the gate open.
            opened, self._opened = self._opened, None
            assert opened is not None
            failed = await eradicate(state, opened, lambda: state.stopped)
            if failed:
                self._resume()
            await seal(state, "eradicate")
            if failed:
                # What was not replaced is held again, and the incident asks once more.
                self.wake()
                await state.report(failed)

    async def _clean_up(self) -> None:
        """The last target is gone: policies, selector edits and labels of containment go too; the fix stays."""
        state = self._state
        held = self._quarantine is not None and state.held.get(self._quarantine.step, False)
        if not held and all(state.done(s.step) for s in self._steps):
            # A workload without any pod: nothing was contained, so nothing is to be kept contained either.
            raise Stopped
        delete = state.delete_step
        if delete is None or not state.done(delete.step) or state.deletable.count < state.pods.count:
            # Something is left that containment is for.
            self._resume()
            await state.report()
            return
        await self._suspend()
        clean_up = f"{state.start.path.value}.clean-up"
        contained = self._quarantine.step if self._quarantine is not None else ""
        changes = tuple(c for c in state.changes.values() if c.step == contained)
        try:
            restored = await call(
                ActivityName.RESTORE_CHANGES,
                RestoreRequest(incident=state.incident, changes=changes, pods=state.pods, step=clean_up),
                RestoreResult,
                summary="take containment's policies and selector edits away",
            )
        except StepFailed as failed:
            state.failures[clean_up] = [failed.failure(clean_up)]
            await state.report()
            return
        state.undo(restored.undone)
        # With the pods their connections are gone.
        state.proposals = ()
        state.failures[clean_up] = list(restored.failures)
        state.hold(contained, bool(restored.failures))
        if self._containment is not None:
            self._containment.targets_gone()
        await seal(state, "clean-up")
        if state.start.path is Path.IMAGE or any(s in VERBS for s in state.plan):
            # A path of nothing but pods ends with them, which says the same; others go on, and others wait for this.
            await state.report()
        if not restored.failures:
            raise Stopped

    async def _suspend(self) -> None:
        """Let containment rest, for what it would make again is to be taken away; what it is making now is finished."""
        loop = self._containment
        if loop is not None:
            loop.suspended = True
            await self._rest.until(lambda: loop.idle)

    def _resume(self) -> None:
        if self._containment is not None:
            self._containment.suspended = False

"""The chain of steps that are planned and carried out one by one: everything but the steps on pods.

Containment comes first and is kept up: it is tried again until it is proved, and looked at again when it may have
broken, for as long as the incident is open. The steps behind the later gates run in the order of the plan, each once
its gate is open and what it depends on has ended; one that waits for a person does not keep back those of other gates.
"""

from __future__ import annotations

import asyncio

from contracts.incidents import GateOpened
from contracts.states import StepState
from contracts.steps import AFTER, AGAIN_AFTER, VERBS
from plans.model import Gate, Step
from workflows.calls import Stopped, outlive
from workflows.course import Rest
from workflows.path_state import PathState
from workflows.step_containment import StepContainment
from workflows.step_run import StepRun

_OVER = (StepState.DONE, StepState.SKIPPED, StepState.FAILED)


class StepChain:
    """See `workflows.course.Chain`."""

    def __init__(self, state: PathState) -> None:
        self._state = state
        self._rest = Rest(state)
        self._run = StepRun(state)
        mine = [s for s in state.plan.values() if s.step in VERBS]
        self._containment = StepContainment(state, self._run, [s for s in mine if s.gate is Gate.CONTAIN])
        self._later = [s for s in mine if s.gate is not Gate.CONTAIN]
        self._spent = {s.step for s in self._later if state.failed(s.step)}
        self._ended = False
        self._previewing = False
        self._finished = False

    @property
    def resting(self) -> bool:
        """Whether a new run could go on from here."""
        # What a signal has just asked for is not lost between two runs.
        asked = self._containment.woken or self._next() is not None
        return self._rest.resting and self._containment.idle and not self._previewing and not asked

    @property
    def finished(self) -> bool:
        """Whether all is done that there is to do, and nobody is just looking again."""
        return self._finished and self._containment.idle and not self._containment.woken

    def wake(self) -> None:
        """Look again whether containment holds."""
        self._containment.wake()

    def retry(self, step: str) -> None:
        """One failed step again."""
        self._spent.discard(step)

    def gate_opened(self, opened: GateOpened) -> None:
        """A gate was passed: what failed behind it may be tried again."""
        self._spent -= {s.step for s in self._later if s.gate is opened.gate}

    async def run(self) -> None:
        """Contain, then carry out the others as they become ready, and look after them until told to stop."""
        loop = asyncio.create_task(self._containment.run(lambda: self._state.stopped or self._ended))
        previews: asyncio.Task[None] | None = None
        try:
            # What only reads waits for the first attempt at containment, and for no longer.
            await self._rest.until(lambda: self._containment.tried or not self._containment.may_begin or loop.done())
            self._previewing = True
            previews = asyncio.create_task(self._preview())
            await self._carry_out(loop)
        except Stopped:
            # Not in a `finally`: a workflow that is put out of memory must not wait.
            self._ended = True
            await outlive(loop)
            if previews is not None:
                await outlive(previews)

    async def _preview(self) -> None:
        """Beside the steps: one that is approved meanwhile does not wait for what the others would change."""
        try:
            await self._run.preview((*self._containment.waiting, *self._later))
        except Stopped:
            pass
        self._previewing = False

    async def _preview_anew(self, ended: Step) -> None:
        """What could not be done before this step, or only otherwise, is shown to the approver as it is now."""
        waiting = [s for s in self._later if ended.step in AFTER.get(s.step, ()) and s.step not in self._state.steps]
        if waiting:
            await self._run.preview(waiting, anew=True)

    async def _carry_out(self, loop: asyncio.Task[None]) -> None:
        while True:
            await self._rest.until(lambda: loop.done() or self._next() is not None or self._ending_moved)
            if loop.done():
                # It ends by itself only when it broke.
                loop.result()
            step = self._next()
            if step is not None:
                if not await self._run.carry_out(step, again=self._again(step)):
                    self._spent.add(step.step)
                await self._preview_anew(step)
                continue
            self._finished = self._complete
            if self._complete and self._containment.holding:
                self._containment.let_go()
                # Whoever looked again in between has reported that something is held.
                await self._state.report()

    @property
    def _ending_moved(self) -> bool:
        """Whether the chain has become complete, or is not any more because its containment broke."""
        return self._complete is not self._finished or (self._complete and self._containment.holding)

    def _next(self) -> Step | None:
        return next((s for s in self._later if self._ready(s)), None)

    @property
    def _complete(self) -> bool:
        return self._containment.settled_for_good and all(
            self._state.done(s.step) and not self._expects_again(s) for s in self._later
        )

    def _ready(self, step: Step) -> bool:
        state = self._state
        if step.step in self._spent:
            return False
        if state.done(step.step) and not self._again(step):
            return False
        if step.gate is not None and step.gate not in state.open:
            return False
        return all(self._over(name) for name in AFTER.get(step.step, ())) and self._in_turn(step)

    def _in_turn(self, step: Step) -> bool:
        """Behind one gate a step waits until those before it are done; what is read is read before, or has failed."""
        before = self._later[: self._later.index(step)]
        return all(
            self._over(s.step) if s.gate is None else self._state.done(s.step)
            for s in before
            if s.gate in (step.gate, None)
        )

    def _over(self, name: str) -> bool:
        """Whether a step of this or another path has ended, or is not to be carried out at all."""
        mine = self._state.steps.get(name)
        if mine is not None:
            return mine.state in _OVER
        planned = {s.step for s in self._state.assessment.plan.steps if s.decision.value != "never"}
        return name not in planned or name in self._state.ended.steps

    def _again(self, step: Step) -> bool:
        """Whether all that the step is repeated for has ended, and something of it was done."""
        if not self._state.done(step.step) or step.step in self._state.repeated:
            return False
        after = AGAIN_AFTER.get(step.step, ())
        # It is repeated once, so it waits for the pods of every path: one that still lives would get a new token again.
        return any(self._was_done(name) for name in after) and all(self._over(name) for name in after)

    def _was_done(self, name: str) -> bool:
        """Whether a step of this path, or of another one as far as we were told, is done."""
        mine = self._state.steps.get(name)
        return (mine.state if mine is not None else self._state.ended.steps.get(name)) is StepState.DONE

    def _expects_again(self, step: Step) -> bool:
        """Whether it will have to be carried out once more, or must be now."""
        if step.step in self._state.repeated or not self._state.done(step.step):
            return False
        return self._again(step) or any(not self._over(name) for name in AGAIN_AFTER.get(step.step, ()))

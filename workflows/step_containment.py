"""Keeping up the containment of a path whose steps are planned one by one; the pods have a loop of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from temporalio import workflow

from contracts.states import Containment, StepState
from contracts.steps import MOOT_AFTER
from plans.model import Step
from workflows.calls import StepFailed, Stopped, outlive
from workflows.containment import DENSE_PERIOD, FIRST_BACKOFF, LONGEST_BACKOFF, LONGEST_DENSE_BACKOFF
from workflows.path_state import PathState
from workflows.step_run import StepRun


class StepContainment:
    """Carries out the steps of containment until all are proved, and again when one may have broken."""

    def __init__(self, state: PathState, run: StepRun, steps: Sequence[Step]) -> None:
        self._state = state
        self._run = run
        self._steps = tuple(steps)
        self._wake = False
        self._allowed: set[str] = set()
        self.tried = state.start.reached is not None
        self.idle = False

    @property
    def may_begin(self) -> bool:
        """Whether a step of containment may run now."""
        return any(self._state.may_contain(s) for s in self._steps)

    @property
    def settled_for_good(self) -> bool:
        """Whether every step of containment is done, or there is nothing left that it could contain."""
        return all(self._state.done(s.step) or self._is_moot(s) for s in self._steps)

    @property
    def waiting(self) -> tuple[Step, ...]:
        """The steps that a person has to approve."""
        return tuple(s for s in self._steps if not self._state.may_contain(s))

    @property
    def holding(self) -> bool:
        """Whether anything that the steps did is still kept up."""
        return any(self._state.held.get(s.step, False) for s in self._steps)

    @property
    def woken(self) -> bool:
        """Whether somebody has asked to look again and nobody has looked yet."""
        return self._wake

    def wake(self) -> None:
        """Look again now."""
        self._wake = True

    def let_go(self) -> None:
        """The path is complete: what it cut off stays cut off as the repair, and is no longer kept up."""
        for step in self._steps:
            self._state.hold(step.step, False)
            if not self._state.done(step.step):
                self._drop(step)

    def _is_moot(self, step: Step) -> bool:
        return any(self._state.done(name) for name in MOOT_AFTER.get(step.step, ()))

    def _drop(self, step: Step) -> None:
        """What it would have contained is gone. Where that was never proved, it stays so (docs/decisions/0007)."""
        self._state.mark(step.step, StepState.SKIPPED, "what it would have contained is gone")
        if step.proves:
            reason = f"{step.step} was not done before what it would have contained was gone."
            self._state.verdict(step.step, Containment.INCOMPLETE, (reason,))

    async def run(self, stopping: Callable[[], bool]) -> None:
        """Contain, and keep contained, until told to stop."""
        # What was just being planned is abandoned then; what was being made is not.
        with suppress(Stopped):
            await self._keep_up(stopping)

    async def _keep_up(self, stopping: Callable[[], bool]) -> None:
        # A path that continues in a new run was at rest: what it had proved stands until somebody wakes it.
        rest = self.tried and self.settled_for_good
        self._allowed = self._may() if rest else set()
        while not stopping():
            if not rest:
                await self._contain(stopping)
            rest = False
            self.idle = True
            await outlive(workflow.wait_condition(lambda: stopping() or self._wake or self._may() != self._allowed))
            self.idle = False

    def _may(self) -> set[str]:
        return {s.step for s in self._steps if self._state.may_contain(s)}

    async def _contain(self, stopping: Callable[[], bool]) -> None:
        dense_until = workflow.now() + DENSE_PERIOD
        backoff = FIRST_BACKOFF
        while not stopping():
            # Whoever asks from now on may know of something that this round has not seen.
            self._allowed, self._wake = self._may(), False
            if await self._round():
                self.tried = True
                return
            self.tried = True
            dense = workflow.now() < dense_until
            self.idle = not dense
            try:
                await outlive(
                    workflow.wait_condition(
                        lambda: stopping() or self._wake or self._may() != self._allowed,
                        timeout=backoff,
                        timeout_summary="before containment is tried again",
                    )
                )
            except TimeoutError:
                pass
            self.idle = False
            backoff = min(backoff * 2, LONGEST_DENSE_BACKOFF if dense else LONGEST_BACKOFF)

    async def _round(self) -> bool:
        """Each step that may run, once; True when nothing is left to try."""
        state, complete = self._state, True
        before = self._shown()
        for step in self._steps:
            if step.step not in self._allowed:
                self._waits(step)
                continue
            was = state.steps.get(step.step)
            state.mark(step.step, StepState.RUNNING)
            try:
                outcome = await self._run.attempt(step)
            except StepFailed as failed:
                complete = False
                state.mark(step.step, StepState.FAILED, failed.message, [failed.failure(step.step)])
                if step.proves:
                    state.verdict(step.step, Containment.INCOMPLETE, (failed.message,))
                continue
            except Stopped:
                # Only looking again was given up; what had been done is done.
                if was is not None:
                    state.steps[step.step] = was
                raise
            self._run.take(step, outcome)
            complete = complete and outcome.complete
        if not self.tried or complete or before != self._shown():
            await state.report()
        return complete

    def _shown(self) -> tuple[object, ...]:
        """What people would want to hear of when it changes; the wording of a failure is not worth a report."""
        state = self._state
        steps = [state.steps[s.step].state for s in self._steps if s.step in state.steps]
        return state.containment, tuple(steps)

    def _waits(self, step: Step) -> None:
        """A step that a person has not approved yet proves nothing, and the rest is not enough without it."""
        if step.proves and not self._is_moot(step):
            contained = bool(self._allowed)
            self._state.verdict(
                step.step,
                Containment.INCOMPLETE if contained else Containment.NONE,
                (f"{step.step} is not approved.",) if contained else (),
            )

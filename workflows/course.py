"""How a path waits, ends, and goes on in a new run when its history has grown long.

A path is one or more chains of steps over one state. A chain may wait, and then it is at rest: nothing of it is running
that a new run would have to know of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from temporalio import workflow

from contracts.incidents import GateOpened, PathProgress, RetryRequest, StepsEnded
from contracts.states import StepState
from workflows.calls import Stopped, outlive
from workflows.path_state import PathState


class Chain(Protocol):
    """Some of the steps of a path, in their order."""

    @property
    def resting(self) -> bool:
        """Whether a new run could go on from here."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do, although the chain goes on looking after what was done."""

    async def run(self) -> None:
        """Carry the steps out; returns when nothing is left to do or to look after, or when told to stop."""

    def wake(self) -> None:
        """Look again whether containment holds."""

    def retry(self, step: str) -> None:
        """One failed step again; a step of another chain is none of this one's business."""

    def gate_opened(self, opened: GateOpened) -> None:
        """A gate was passed; the state knows of it already."""


class Rest:
    """Counts whether a chain waits."""

    def __init__(self, state: PathState) -> None:
        self._state = state
        self.resting = False

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait.

        Raises:
            Stopped: The path was told to end.
        """
        if not (self._state.stopped or condition()):
            self.resting = True
            try:
                await outlive(workflow.wait_condition(lambda: self._state.stopped or condition()))
            finally:
                self.resting = False
        if self._state.stopped:
            raise Stopped


class Course:
    """Runs the chains of one path and takes the signals of its incident. Shared by the workflows of all paths."""

    def __init__(self, state: PathState, *chains: Chain) -> None:
        self._state = state
        self._chains = chains
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> PathProgress:
        """Run all chains. A path ends when nothing is left to do or to look after, or when it is stopped."""
        state = self._state
        self._tasks = tasks = [asyncio.create_task(chain.run()) for chain in self._chains]
        while not await self._over(tasks):
            state.finished = self._finished(tasks)
            await state.report()
        for task in tasks:
            if task.done():
                task.result()
        if not all(t.done() for t in tasks):
            workflow.continue_as_new(state.continuation())
        state.stopped = True
        for name, status in state.steps.copy().items():
            if status.state is StepState.RUNNING:
                state.mark(name, StepState.FAILED, "stopped before its end")
        await outlive(workflow.wait_condition(workflow.all_handlers_finished))
        return state.progress()

    async def _over(self, tasks: Sequence[asyncio.Task[None]]) -> bool:
        """Wait until this run of the path ends, or its incident must hear that all is done, or no longer so."""
        state = self._state

        def ends() -> bool:
            return all(t.done() for t in tasks) or self._may_renew(tasks)

        await outlive(
            workflow.wait_condition(
                lambda: ends() or (not state.stopped and self._finished(tasks) is not state.finished)
            )
        )
        return ends()

    def _finished(self, tasks: Sequence[asyncio.Task[None]]) -> bool:
        return all(t.done() or c.finished for t, c in zip(tasks, self._chains, strict=True))

    def _may_renew(self, tasks: Sequence[asyncio.Task[None]]) -> bool:
        if any(t.done() and t.exception() is not None for t in tasks):
            return True
        resting = all(t.done() or c.resting for t, c in zip(tasks, self._chains, strict=True))
        return resting and workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished()

    def gate_opened(self, opened: GateOpened) -> None:
        """The incident passed a gate."""
        self._state.open[opened.gate] = opened
        for chain in self._chains:
            chain.gate_opened(opened)

    def wake(self) -> None:
        """The finding was repeated, or containment drifted."""
        for chain in self._chains:
            chain.wake()

    def retry(self, again: RetryRequest) -> None:
        """One failed step again."""
        for chain in self._chains:
            chain.retry(again.step)
            chain.wake()

    def steps_ended(self, ended: StepsEnded) -> None:
        """What other paths of the incident have come to."""
        if ended.number >= self._state.ended.number:
            self._state.ended = ended

    def end(self) -> None:
        """Nothing is left to do in the whole incident. A path that has found something meanwhile goes on with that."""
        if self._state.finished and all(c.finished or t.done() for c, t in zip(self._chains, self._tasks, strict=True)):
            self._state.stopped = True

    def stop(self) -> None:
        """End: what runs is finished, what only reads is abandoned."""
        self._state.stopped = True

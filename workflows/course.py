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

    async def run(self) -> None:
        """Carry the steps out; returns when all are done and nothing is held, or when told to stop."""

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

    async def run(self) -> PathProgress:
        """Run all chains to their end. A path ends when it holds nothing any more, or when it is stopped."""
        state = self._state
        tasks = [asyncio.create_task(chain.run()) for chain in self._chains]
        await outlive(workflow.wait_condition(lambda: all(t.done() for t in tasks) or self._may_renew(tasks)))
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
        self._state.ended = dict(ended.steps)

    def stop(self) -> None:
        """End: what runs is finished, what only reads is abandoned."""
        self._state.stopped = True

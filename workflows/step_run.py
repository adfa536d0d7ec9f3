"""Carrying out one step: plan it, let its changes stand in history, make them, and take the outcome as read again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from temporalio import workflow

from contracts.activities import LeaseRequest
from contracts.names import ActivityName
from contracts.states import Containment, StepState
from contracts.steps import VERBS, StepOutcome, StepPlan, StepRequest
from plans.model import Change, Gate, ResourceRef, Step
from workflows.calls import StepFailed, call
from workflows.leases import exclusively
from workflows.path_state import PathState
from workflows.sealing import seal


class StepRun:
    """Plans and carries out the steps of one path."""

    def __init__(self, state: PathState) -> None:
        self._state = state

    async def preview(self, steps: Sequence[Step], *, anew: bool = False) -> None:
        """Find out what the steps that wait for a person would change, so that the person can see it.

        Args:
            steps: Those without a gate only read, and what has begun is told by its outcome: both are left out.
            anew: What was found out before is out of date.
        """
        state = self._state
        for step in steps:
            if step.gate is None or step.step in state.steps or (step.step in state.previews and not anew):
                continue
            # A preview that cannot be made is missing and nothing else: the step itself will say what is wrong.
            with suppress(StepFailed):
                plan = await self._plan(step, request_for(state, step), "what it would change")
                if anew or step.step not in state.previews:
                    state.previews[step.step] = plan.sentences()
        await state.report()

    async def carry_out(self, step: Step, *, again: bool = False) -> bool:
        """One step behind its gate, from plan to outcome; False when it failed, which the incident has been told."""
        state = self._state
        state.mark(step.step, StepState.RUNNING, "once more" if again else "")
        await state.report()
        try:
            outcome = await self._exclusively(step, again)
            if outcome.entries is not None or state.changes:
                await seal(state, step.action.replace("_", "-"), (outcome.entries,) if outcome.entries else ())
        except StepFailed as failed:
            self._close(step)
            state.mark(step.step, StepState.FAILED, failed.message, [failed.failure(step.step)])
            await state.report(step.step)
            return False
        if not outcome.complete:
            self._close(step)
        elif again:
            state.repeated.add(step.step)
        self.take(step, outcome)
        await state.report("" if outcome.complete else step.step)
        return outcome.complete

    def _close(self, step: Step) -> None:
        """What failed behind a gate is asked about again, so that an opening of before it counts no more."""
        if step.gate is not None:
            self._state.open.pop(step.gate, None)

    def take(self, step: Step, outcome: StepOutcome) -> None:
        """Let the path's record say what became of a step."""
        state = self._state
        state.tasks.update({t.id: t for t in outcome.tasks})
        if outcome.containment is not None:
            at = outcome.at or workflow.now()
            state.verdict(step.step, outcome.containment, outcome.reasons, outcome.proposals, at)
        done = StepState.DONE if outcome.complete else StepState.FAILED
        if outcome.complete and outcome.skipped:
            done = StepState.SKIPPED
        state.mark(step.step, done, outcome.summary, list(outcome.failures))

    async def attempt(self, step: Step, *, again: bool = False) -> StepOutcome:
        """Plan the step, record its changes, make them.

        Raises:
            StepFailed: It could not be planned, or its activity failed for good.
        """
        state = self._state
        request = request_for(state, step, again=again)
        plan = await self._plan(step, request, "what is to be changed")
        if plan.blocked:
            raise StepFailed("PolicyRefusal", "; ".join(f.message for f in plan.failures[:3]) or plan.skip)
        if plan.skip:
            proved = Containment.NOT_APPLICABLE if step.proves else None
            return StepOutcome(
                complete=not plan.failures,
                skipped=True,
                summary=plan.skip,
                failures=plan.failures,
                containment=Containment.INCOMPLETE if proved and plan.failures else proved,
            )
        state.begin(list(plan.changes))
        if step.gate is Gate.CONTAIN and plan.changes:
            state.hold(step.step)
        outcome = await call(
            VERBS[step.step],
            request.model_copy(update={"changes": plan.changes}),
            StepOutcome,
            summary=f"{step.step}: {_changes(plan.changes)}",
            # What only reads need not be waited for when the path is to end; a change always is.
            abandon=None if step.gate is not None or plan.changes else (lambda: state.stopped),
        )
        failures = (*plan.failures, *outcome.failures)
        return outcome.model_copy(update={"failures": failures, "complete": outcome.complete and not plan.failures})

    async def _plan(self, step: Step, request: StepRequest, what: str) -> StepPlan:
        return await call(
            ActivityName.PLAN_STEP,
            request,
            StepPlan,
            summary=f"{step.step}: {what}",
            abandon=lambda: self._state.stopped,
        )

    async def _exclusively(self, step: Step, again: bool) -> StepOutcome:
        """Steps behind the later gates exclude those of other incidents on the same targets (design: Incidents)."""
        if step.gate is None:
            return await self.attempt(step, again=again)
        resources = tuple(ResourceRef(kind=t.kind.value, namespace=t.namespace, name=t.name) for t in step.targets)
        lease = LeaseRequest(incident=self._state.incident, step=step.step, resources=resources)
        return await exclusively(lease, lambda: self.attempt(step, again=again), lambda: self._state.stopped)


def request_for(state: PathState, step: Step, *, again: bool = False) -> StepRequest:
    """What the activities of a step are asked."""
    assert state.start.finding is not None
    opened = state.open.get(step.gate) if step.gate is not None else None
    return StepRequest(
        incident=state.incident,
        step=step,
        finding=state.start.finding,
        pods=state.pods,
        workloads=state.assessment.workloads,
        image=opened.image if opened is not None else "",
        made=tuple(state.changes.values()),
        again=again,
    )


def _changes(changes: Sequence[Change]) -> str:
    if not changes:
        return "nothing to change"
    more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
    return f"{changes[0].resource}: {changes[0].summary}{more}"[:300]

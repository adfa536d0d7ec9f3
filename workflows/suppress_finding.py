"""SuppressFinding: a suppression rule for a finding that somebody expected, created on that person's word."""

from __future__ import annotations

from temporalio import workflow

from contracts.incidents import SuppressInput
from contracts.names import ActivityName, WorkflowName
from contracts.steps import VERBS, StepOutcome, StepPlan, StepRequest
from workflows.calls import StepFailed, call


@workflow.defn(name=WorkflowName.SUPPRESS_FINDING)
class SuppressFinding:
    """Beside an incident, running or over (docs/decisions/0025). What it makes, release of that incident undoes."""

    @workflow.run
    async def run(self, order: SuppressInput) -> StepOutcome:
        """Plan the filter, so that the change stands in history, then create it and read it again."""
        step = order.step
        request = StepRequest(incident=order.incident, step=step, finding=order.finding)
        try:
            plan = await call(ActivityName.PLAN_STEP, request, StepPlan, summary=f"{step.step}: what would be created")
            if plan.blocked or plan.skip:
                done = bool(plan.skip) and not plan.failures
                return StepOutcome(complete=done, skipped=done, summary=plan.skip, failures=plan.failures)
            return await call(
                VERBS[step.step],
                request.model_copy(update={"changes": plan.changes}),
                StepOutcome,
                summary=f"{step.step}: {step.targets[0].name}",
            )
        except StepFailed as failed:
            return StepOutcome(complete=False, failures=(failed.failure(step.step, step.targets[0].name),))

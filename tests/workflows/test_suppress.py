"""What a suppression comes to: nothing is made of a plan that is blocked or has nothing to do; a failure is told."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

import pytest

from contracts.common import Failure, IncidentKey
from contracts.incidents import SuppressInput
from contracts.names import HOT_QUEUE, ActivityName, WorkflowName
from contracts.steps import StepOutcome, StepPlan
from plans.suppression import STEP, suppression_of, suppression_step
from tests.workflows.conftest import Incident, finding
from tests.workflows.fakes import Script, fail

Start = Callable[..., Awaitable[Incident]]
BLOCKED = StepPlan(blocked=True, failures=(Failure(step=STEP, target="f", code="PolicyRefusal", message="no"),))


async def suppressed(incident: Incident) -> StepOutcome:
    key = IncidentKey(workflow_id=f"gd/1/r/{uuid.uuid4().hex}", run_id="r")
    step = suppression_step(suppression_of(finding()), None, "ada", "load test")
    outcome: StepOutcome = await incident.env.client.execute_workflow(
        WorkflowName.SUPPRESS_FINDING.value,
        SuppressInput(incident=key, finding=finding(), step=step),
        id=f"{key.workflow_id}/suppress",
        task_queue=HOT_QUEUE,
        result_type=StepOutcome,
    )
    return outcome


async def test_what_was_planned_is_made_and_stands_in_history_before(start: Start) -> None:
    incident = await start(Script())
    outcome = await suppressed(incident)
    assert outcome.complete and not outcome.skipped
    (asked,) = incident.script.called(ActivityName.SUPPRESS_FINDING)
    assert asked.changes, "the changes of the plan, not those that the activity thinks of"
    assert asked.step.reason == "ada: load test"


@pytest.mark.parametrize(
    ("plan", "complete"),
    [(BLOCKED, False), (StepPlan(skip="it stands already"), True)],
    ids=["blocked", "nothing to do"],
)
async def test_nothing_is_made_where_the_plan_says_so(start: Start, plan: StepPlan, complete: bool) -> None:
    incident = await start(Script(plans={STEP: [plan]}))
    outcome = await suppressed(incident)
    assert (outcome.complete, outcome.skipped, outcome.failures) == (complete, complete, plan.failures)
    assert incident.script.called(ActivityName.SUPPRESS_FINDING) == []


async def test_a_failure_is_an_outcome(start: Start) -> None:
    incident = await start(Script(outcomes={STEP: [fail("Forbidden", "grant guardduty:CreateFilter")]}))
    outcome = await suppressed(incident)
    assert not outcome.complete
    assert [(f.code, f.message) for f in outcome.failures] == [("Forbidden", "grant guardduty:CreateFilter")]

"""SweepContainment: started by a Temporal Schedule, one a cluster; wakes only incidents whose proof broke."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import FailureError

from contracts.activities import SweepRequest, SweepResult
from contracts.incidents import Observation
from contracts.names import ActivityName, Handler, WorkflowName
from contracts.states import ObservationKind
from workflows.calls import call


@workflow.defn(name=WorkflowName.SWEEP_CONTAINMENT)
class SweepContainment:
    """One sweep over the held objects of a cluster (design: Drift)."""

    @workflow.run
    async def run(self, request: SweepRequest) -> SweepResult:
        """Look, and tell the incidents concerned."""
        result = await call(
            ActivityName.SWEEP_HELD_OBJECTS, request, SweepResult, summary="held objects against what containment left"
        )
        for incident, reason in sorted(result.broken.items()):
            seen = Observation(kind=ObservationKind.DRIFT, reason=reason)
            try:
                await workflow.get_external_workflow_handle(incident).signal(Handler.OBSERVE, seen)
            except FailureError:
                # The incident is closed or unknown here; `firebreak doctor` lists objects that nobody holds any more.
                workflow.logger.warning("an object is held for an incident that is not running")
        return result

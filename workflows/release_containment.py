"""ReleaseContainment: undo the recorded changes of one incident, backwards."""

from __future__ import annotations

from temporalio import workflow

from contracts.activities import RestoreRequest, RestoreResult
from contracts.incidents import ReleaseInput
from contracts.names import ActivityName, WorkflowName
from workflows.calls import StepFailed, call


@workflow.defn(name=WorkflowName.RELEASE_CONTAINMENT)
class ReleaseContainment:
    """Child of an incident, or started alone for one that has closed."""

    @workflow.run
    async def run(self, order: ReleaseInput) -> RestoreResult:
        """Each change is undone only where the fields are still what the incident left."""
        request = RestoreRequest(incident=order.incident, changes=order.changes, pods=order.pods)
        try:
            return await call(
                ActivityName.RESTORE_CHANGES,
                request,
                RestoreResult,
                summary=f"undo {len(order.changes)} changes for {order.by[:60] or 'unknown'}",
            )
        except StepFailed as failed:
            return RestoreResult(failures=(failed.failure("release"),))

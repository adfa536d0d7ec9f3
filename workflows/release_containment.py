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
        try:
            first = await self._image_pods(order)
            own = order.image_pods.reference
            rest = tuple(c for c in order.changes if own is None or c.resource.name != own.key)
            request = RestoreRequest(
                incident=order.incident, changes=rest, pods=order.pods, unreported=order.unreported
            )
            undone = await call(
                ActivityName.RESTORE_CHANGES,
                request,
                RestoreResult,
                summary=f"undo {len(rest)} changes for {order.by[:60] or 'unknown'}",
            )
        except StepFailed as failed:
            return RestoreResult(failures=(failed.failure("release"),))
        return RestoreResult(
            undone=(*first.undone, *undone.undone),
            kept=(*first.kept, *undone.kept),
            pods_restored=first.pods_restored + undone.pods_restored,
            failures=(*first.failures, *undone.failures),
        )

    async def _image_pods(self, order: ReleaseInput) -> RestoreResult:
        """The labels of the image path's pods, where one record stands for all of them."""
        listed = order.image_pods.reference
        if listed is None:
            return RestoreResult()
        mine = tuple(c for c in order.changes if c.resource.name == listed.key)
        return await call(
            ActivityName.RESTORE_CHANGES,
            RestoreRequest(incident=order.incident, changes=mine, pods=order.image_pods),
            RestoreResult,
            summary=f"let go of {order.image_pods.count} pods that run the image",
        )

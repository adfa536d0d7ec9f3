"""RemediatePods: contain the pods, keep their evidence, replace and delete them (guide P1 to P8)."""

from __future__ import annotations

from temporalio import workflow

from contracts.incidents import PathInput, PathProgress
from contracts.names import WorkflowName
from workflows.path_state import PathState
from workflows.path_workflow import PathWorkflow
from workflows.pod_chain import PodChain


@workflow.defn(name=WorkflowName.REMEDIATE_PODS)
class RemediatePods(PathWorkflow):
    """The path of compromised pods."""

    @workflow.init
    def __init__(self, start: PathInput) -> None:
        state = PathState(start)
        super().__init__(state, PodChain(state))

    @workflow.run
    async def run(self, start: PathInput) -> PathProgress:
        """Contain → collect → eradicate → take containment's own changes away."""
        return await self._course.run()

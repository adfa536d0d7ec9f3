"""RemediateConfiguration: close what lets somebody in (guide C1 to C4)."""

from __future__ import annotations

from temporalio import workflow

from contracts.incidents import PathInput, PathProgress
from contracts.names import WorkflowName
from workflows.path_state import PathState
from workflows.path_workflow import PathWorkflow
from workflows.step_chain import StepChain


@workflow.defn(name=WorkflowName.REMEDIATE_CONFIGURATION)
class RemediateConfiguration(PathWorkflow):
    """The path of a dangerous setting of the cluster."""

    @workflow.init
    def __init__(self, start: PathInput) -> None:
        state = PathState(start)
        super().__init__(state, StepChain(state))

    @workflow.run
    async def run(self, start: PathInput) -> PathProgress:
        """Unbind, and keep it so → close what is exposed."""
        return await self._course.run()

"""RemediateUser: cut an identity off, end its credentials, replace what it could read (guide U1 to U8)."""

from __future__ import annotations

from temporalio import workflow

from contracts.incidents import PathInput, PathProgress
from contracts.names import WorkflowName
from workflows.path_state import PathState
from workflows.path_workflow import PathWorkflow
from workflows.step_chain import StepChain


@workflow.defn(name=WorkflowName.REMEDIATE_USER)
class RemediateUser(PathWorkflow):
    """The path of a compromised identity."""

    @workflow.init
    def __init__(self, start: PathInput) -> None:
        state = PathState(start)
        super().__init__(state, StepChain(state))

    @workflow.run
    async def run(self, start: PathInput) -> PathProgress:
        """Cut off → credentials → investigate → delete what cannot be brought back."""
        return await self._course.run()

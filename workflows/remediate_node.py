"""RemediateNode: cordon and protect a node, keep its evidence, replace the machine (guide N1 to N4)."""

from __future__ import annotations

from temporalio import workflow

from contracts.incidents import PathInput, PathProgress
from contracts.names import WorkflowName
from workflows.path_state import PathState
from workflows.path_workflow import PathWorkflow
from workflows.step_chain import StepChain


@workflow.defn(name=WorkflowName.REMEDIATE_NODE)
class RemediateNode(PathWorkflow):
    """The path of a compromised node."""

    @workflow.init
    def __init__(self, start: PathInput) -> None:
        state = PathState(start)
        super().__init__(state, StepChain(state))

    @workflow.run
    async def run(self, start: PathInput) -> PathProgress:
        """Cordon and protect → collect → credentials → drain and terminate."""
        return await self._course.run()

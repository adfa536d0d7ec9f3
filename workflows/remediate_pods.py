"""RemediatePods: contain the pods, keep their evidence, replace and delete them (guide P1 to P8)."""

from __future__ import annotations

from temporalio import workflow

from contracts.incidents import PathInput, PathProgress
from contracts.names import WorkflowName
from contracts.steps import VERBS
from workflows.path_state import PathState
from workflows.path_workflow import PathWorkflow
from workflows.pod_chain import PodChain
from workflows.step_chain import StepChain


@workflow.defn(name=WorkflowName.REMEDIATE_PODS)
class RemediatePods(PathWorkflow):
    """The path of compromised pods."""

    @workflow.init
    def __init__(self, start: PathInput) -> None:
        state = PathState(start)
        steps = any(s in VERBS for s in state.plan)
        # A chain without steps would say so, which costs events that an incident of pods alone does not need.
        super().__init__(state, PodChain(state), *((StepChain(state),) if steps else ()))

    @workflow.run
    async def run(self, start: PathInput) -> PathProgress:
        """Contain → collect → eradicate → take containment's own changes away."""
        return await self._course.run()

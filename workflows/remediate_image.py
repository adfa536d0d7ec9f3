"""RemediateImage: refuse an image, contain what runs from it, empty the registry (guide I1 to I5)."""

from __future__ import annotations

from temporalio import workflow

from contracts.incidents import PathInput, PathProgress
from contracts.names import WorkflowName
from workflows.path_state import PathState
from workflows.path_workflow import PathWorkflow
from workflows.pod_chain import PodChain
from workflows.step_chain import StepChain


@workflow.defn(name=WorkflowName.REMEDIATE_IMAGE)
class RemediateImage(PathWorkflow):
    """The path of a compromised image. Its pods are treated as on the path of pods, while the image is."""

    @workflow.init
    def __init__(self, start: PathInput) -> None:
        state = PathState(start)
        super().__init__(state, StepChain(state), PodChain(state))

    @workflow.run
    async def run(self, start: PathInput) -> PathProgress:
        """Refuse it and contain its pods → keep both as evidence → replace the pods, archive and delete the image."""
        return await self._course.run()

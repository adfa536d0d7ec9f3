"""What the workflows of all paths have in common: the signals of their incident, and the query that asks them."""

from __future__ import annotations

from temporalio import workflow

from contracts.incidents import GateOpened, Observation, PathProgress, RetryRequest, StepsEnded
from contracts.names import Handler
from workflows.course import Chain, Course
from workflows.path_state import PathState


class PathWorkflow:
    """One path of an incident, the whole chain. It waits at gates, and ends when it holds nothing or is stopped."""

    def __init__(self, state: PathState, *chains: Chain) -> None:
        self._state = state
        self._course = Course(state, *chains)

    @workflow.signal(name=Handler.GATE_OPENED)
    def gate_opened(self, opened: GateOpened) -> None:
        """The incident passed a gate."""
        self._course.gate_opened(opened)

    @workflow.signal(name=Handler.OBSERVE)
    def observe(self, seen: Observation) -> None:
        """Look again: the finding was repeated, or containment drifted."""
        self._course.wake()

    @workflow.signal(name=Handler.RETRY)
    def retry(self, again: RetryRequest) -> None:
        """One failed step again."""
        self._course.retry(again)

    @workflow.signal(name=Handler.STEPS_ENDED)
    def steps_ended(self, ended: StepsEnded) -> None:
        """What the paths of the incident have come to."""
        self._course.steps_ended(ended)

    @workflow.signal(name=Handler.END)
    def end(self) -> None:
        """Nothing is left to do in the whole incident."""
        self._course.end()

    @workflow.signal(name=Handler.STOP)
    def stop(self) -> None:
        """End: what runs is finished, what only reads is abandoned."""
        self._course.stop()

    @workflow.query(name=Handler.STATUS)
    def status(self) -> PathProgress:
        """What the path has reached."""
        return self._state.view()

"""The paths of one incident: each a child workflow that is started, told about gates, and listened to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import FailureError

from contracts.activities import Assessment
from contracts.incidents import GateOpened, PathInput, PathProgress, StepsEnded
from contracts.names import Handler, WorkflowName, path_id
from contracts.states import GateState
from plans.model import Gate, Path, Verdict
from workflows.gates import GateBoard
from workflows.lost import found_again, say_lost
from workflows.record import IncidentRecord

PATH_WORKFLOWS = {
    Path.CONFIGURATION: WorkflowName.REMEDIATE_CONFIGURATION,
    Path.USER: WorkflowName.REMEDIATE_USER,
    Path.POD: WorkflowName.REMEDIATE_PODS,
    Path.IMAGE: WorkflowName.REMEDIATE_IMAGE,
    Path.NODE: WorkflowName.REMEDIATE_NODE,
}
"""The paths that have a workflow; triage has none, because only a person can sort it out."""

_Child = workflow.ChildWorkflowHandle[object, PathProgress]


class Paths:
    """Starts the paths of a plan and relays between them and the incident.

    Args:
        record: Takes what the paths report.
        changed: Called when a path has ended.
    """

    def __init__(self, record: IncidentRecord, changed: Callable[[], None]) -> None:
        self._record = record
        self._changed = changed
        self._children: dict[Path, _Child] = {}
        self._opened: set[Gate] = set()
        self._told = StepsEnded()
        self._ever: set[Path] = set()
        """The paths that were ever started."""
        self._stopping = False
        self._asked_to_end: dict[Path, int] = {}
        """By path: after which of its reports."""
        self.lost: set[Path] = set()
        """The paths whose workflow ended without a result, which a retry of one of their steps starts again."""
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def busy(self) -> bool:
        """Whether a path runs, or something is still on its way to one."""
        return bool(self._children) or any(not t.done() for t in self._tasks)

    def start(self, assessment: Assessment, board: GateBoard) -> None:
        """Start a child for each path that has a step to carry out."""
        self._opened = set(board.in_state(GateState.OPEN))
        for path in assessment.plan.paths:
            steps = assessment.plan.steps_of(path)
            if path in PATH_WORKFLOWS and any(s.decision is not Verdict.NEVER for s in steps):
                self._ever.add(path)
                self._spawn(self._follow(path, assessment, board))

    def restart(self, path: Path) -> None:
        """Go on with a path that was lost, from what it had reported last."""
        record = self._record
        assert record.assessment is not None and record.board is not None
        self.lost.discard(path)
        reached = found_again(record, path)
        self._spawn(self._follow(path, record.assessment, record.board, reached))

    async def _follow(
        self, path: Path, assessment: Assessment, board: GateBoard, reached: PathProgress | None = None
    ) -> None:
        """Run one path as a child and take its last word, or record that it ended without one."""
        key, told = self._record.key, self._told
        opened = tuple(_opening(g, board) for g in Gate if g in self._opened)
        try:
            child = await workflow.start_child_workflow(
                PATH_WORKFLOWS[path].value,
                PathInput(
                    incident=key,
                    path=path,
                    assessment=assessment.of_path(path),
                    finding=self._record.finding,
                    open_gates=opened,
                    ended=told,
                    reached=reached,
                ),
                id=path_id(key.workflow_id, path.value),
                result_type=PathProgress,
                static_summary=f"{path.value} path of {self._record.finding.id}",
            )
            self._children[path] = child
            # A gate may have opened, a step ended, or the incident been released, while the child was starting.
            for gate in [g for g in Gate if g in self._opened - {o.gate for o in opened}]:
                await child.signal(Handler.GATE_OPENED, _opening(gate, board))
            if self._told.number > told.number:
                await child.signal(Handler.STEPS_ENDED, self._told)
            if self._stopping:
                await child.signal(Handler.STOP)
            self._record.progressed(await child)
        except FailureError as error:
            self._lost(path, str(error))
        finally:
            self._children.pop(path, None)
            self._changed()

    def _lost(self, path: Path, reason: str) -> None:
        """A path was terminated from outside: what it was doing is unknown, what it changed is on record."""
        self.lost.add(path)
        say_lost(self._record, path, reason)

    def open_gates(self, board: GateBoard) -> None:
        """Tell the paths about gates that opened since the last look."""
        now_open = set(board.in_state(GateState.OPEN))
        for gate in [g for g in Gate if g in now_open - self._opened]:
            self.tell(Handler.GATE_OPENED, _opening(gate, board))
        self._opened = now_open

    def tell_ended(self) -> None:
        """Let the paths know which steps of the others have ended, or were refused."""
        if self._ever <= {Path.POD}:
            # Pods alone depend on nobody, and every word would cost them events.
            return
        ended = self._record.ended_steps
        if ended != self._told.steps:
            self._told = StepsEnded(steps=ended, number=self._told.number + 1)
            self.tell(Handler.STEPS_ENDED, self._told)

    def end(self) -> None:
        """All is done: let the paths end that only look after it, unless one has just found something to do."""
        for path, child in self._children.items():
            reported = self._record.paths.get(path)
            if reported is not None and reported.finished and self._asked_to_end.get(path) != reported.number:
                self._asked_to_end[path] = reported.number
                self._spawn(self._relay(child, Handler.END, None))

    async def _relay(self, child: _Child, name: Handler, message: BaseModel | None) -> None:
        await _deliver(child, name, message)
        if not self._children:
            # They ended before this arrived, and nothing else will say that nobody is busy any more.
            self._changed()

    def stop(self) -> None:
        """Let every path come to its end; asking again changes nothing."""
        if not self._stopping:
            self._stopping = True
            self.tell(Handler.STOP)

    def tell(self, name: Handler, message: BaseModel | None = None) -> None:
        """Send a signal to every path that runs."""
        for child in self._children.values():
            self._spawn(self._relay(child, name, message))

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        self._tasks = [t for t in self._tasks if not t.done()]
        self._tasks.append(asyncio.create_task(work))


def _opening(gate: Gate, board: GateBoard) -> GateOpened:
    return GateOpened(gate=gate, image=board.image(gate))


async def _deliver(child: _Child, name: Handler, message: BaseModel | None) -> None:
    try:
        await (child.signal(name, message) if message is not None else child.signal(name))
    except FailureError as error:
        # The child ended in the meantime; what it reached comes with its result.
        workflow.logger.info("signal %s not delivered: %s", name, error)

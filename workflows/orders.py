"""What people and integrations ask of an incident: decisions, repeats, retries, tasks that are done, its release."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import RawValue

from contracts.incidents import Decision, DecisionAnswer, Observation, ReleaseOrder, RetryRequest
from contracts.names import Handler
from contracts.states import GateState, ObservationKind, StepState, Verb
from contracts.steps import TaskDone
from plans.model import Gate
from workflows import inbox
from workflows.paths import Paths
from workflows.record import IncidentRecord


class Orders:
    """Takes what is asked. What cannot be done is noted in the incident, and nothing is lost silently.

    Attributes:
        reassess: Somebody asks to assess again after a failure.
        release: Somebody asks to undo everything.
    """

    def __init__(self, record: IncidentRecord, paths: Paths) -> None:
        self._record = record
        self._paths = paths
        self.reassess = False
        self.release: ReleaseOrder | None = None

    def receive(self, name: str, args: Sequence[RawValue]) -> None:
        """One signal as it came."""
        if name in (Handler.APPROVE, Handler.DENY):
            verb = Verb.APPROVE if name == Handler.APPROVE else Verb.DENY
            self.decide(inbox.decision(args, verb.value), "signal")
        elif name == Handler.OBSERVE and (seen := inbox.message(args, Observation)):
            self._observe(seen)
        elif name == Handler.RETRY and (again := inbox.message(args, RetryRequest)):
            self._retry(again)
        elif name == Handler.TASK_DONE and (done := inbox.message(args, TaskDone)):
            self._record.task_done(done, workflow.now())
        elif name == Handler.RELEASE and (order := inbox.message(args, ReleaseOrder)):
            self.release = order
        else:
            self._record.note(f"signal {name[:50]!r} not understood")

    def decide(self, decision: Decision, channel: str) -> DecisionAnswer:
        """One decision; the answer says what became of it."""
        if self._record.board is None:
            self._record.note(f"decision by {decision.by[:100]!r} before the plan stood; it was not counted")
            return DecisionAnswer(accepted=False, message="there is no plan yet; decide again")
        return self._record.board.decide(decision, workflow.now(), channel)

    def _observe(self, seen: Observation) -> None:
        self._record.last_observed = workflow.now()
        if seen.kind is ObservationKind.DRIFT:
            self._record.note(f"containment broke: {seen.reason[:200]}")
        else:
            self._record.note(f"GuardDuty reported the finding again, {seen.count} times in all. {seen.reason[:200]}")
        self._paths.tell(Handler.OBSERVE, seen)

    def _retry(self, again: RetryRequest) -> None:
        record, board = self._record, self._record.board
        if record.assessment is None or board is None:
            self.reassess = True
            return
        step = next((s for s in record.assessment.plan.steps if s.step == again.step), None)
        if step is None or again.step not in record.steps:
            names = ", ".join(record.steps)
            record.note(f"retry of {again.step[:50]!r}: no such step here; expected one of {names}")
        elif step.path in self._paths.lost:
            self._paths.restart(step.path)
            record.note(f"the {step.path.value} path goes on: {again.by[:100] or 'unknown'} asked for {again.step}")
        elif step.gate is not None and board.state(step.gate) in (GateState.DENIED, GateState.EXPIRED):
            board.reopen(step.gate, workflow.now())
            record.note(f"gate {step.gate.value} waits again: {again.by[:100]} asked for {again.step}")
        elif step.gate not in (None, Gate.CONTAIN) and board.state(step.gate) is GateState.WAITING:
            record.note(f"gate {step.gate.value} waits again: approve it to carry out {again.step} once more")
        elif record.steps[again.step].state is StepState.FAILED or step.gate is Gate.CONTAIN:
            record.note(f"retry of {again.step} by {again.by[:100] or 'unknown'}")
            self._paths.tell(Handler.RETRY, again)
        else:
            record.note(f"retry of {again.step}: it is {record.steps[again.step].state.value}, not failed")

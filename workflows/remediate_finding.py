"""RemediateFinding: one incident from assessment to its end. It owns gates, timers, decisions and search attributes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RawValue

from contracts.activities import Assessment, AssessRequest, ReportRequest, ReportResult, RestoreResult
from contracts.common import IncidentKey, PodTargets
from contracts.incidents import (
    Decision,
    DecisionAnswer,
    IncidentInput,
    IncidentView,
    PathProgress,
    ReleaseInput,
    ReleaseOrder,
)
from contracts.names import GATE, STATE, ActivityName, Handler, WorkflowName
from contracts.states import GateState, IncidentState
from plans.model import Gate
from workflows.calls import StepFailed, call, outlive
from workflows.card import status_card
from workflows.gates import GateBoard
from workflows.orders import Orders
from workflows.paths import Paths
from workflows.record import IncidentRecord


@workflow.defn(name=WorkflowName.REMEDIATE_FINDING)
class RemediateFinding:
    """One incident (design: Incidents). It stays open while it holds anything or a step can be retried."""

    @workflow.init
    def __init__(self, start: IncidentInput) -> None:
        info = workflow.info()
        key = IncidentKey(workflow_id=info.workflow_id, run_id=info.first_execution_run_id)
        self._start = start
        self._record = IncidentRecord(key, start)
        self._paths = Paths(self._record, self._touch)
        self._orders = Orders(self._record, self._paths)
        self._dirty = False
        self._cancelled = False
        self._published: tuple[object, ...] = ()

    @workflow.run
    async def run(self, start: IncidentInput) -> IncidentView:
        """Assess, start the paths, take decisions until the incident can close, and report."""
        await self._assess()
        record = self._record
        if record.final is None and self._orders.release is None and record.assessment and record.board:
            self._paths.start(record.assessment, record.board)
        while self._record.final is None:
            self._dirty = False
            if self._orders.release is not None:
                await self._undo(self._orders.release)
                continue
            self._heed_cancellation()
            self._pass_gates()
            self._paths.tell_ended()
            self._settle()
            self._publish()
            if self._record.final is None:
                await self._next_event()
        return await self._finish()

    # Phases

    async def _assess(self) -> None:
        while self._record.assessment is None and self._orders.release is None:
            request = AssessRequest(
                incident=self._record.key, finding=self._start.finding, act_on_sample=self._start.act_on_sample
            )
            try:
                self._assessed(
                    await call(
                        ActivityName.ASSESS, request, Assessment, summary="provenance, targets, before-state, plan"
                    )
                )
            except StepFailed as failed:
                self._record.failures["assess"] = [failed.failure("assess", self._start.finding.id)]
                self._orders.reassess = False
                self._publish()
                await self._until(lambda: self._orders.reassess or self._orders.release is not None)
        if self._record.assessment is None:
            self._record.final = IncidentState.RELEASED

    def _assessed(self, assessment: Assessment) -> None:
        board = GateBoard(self._record.key.workflow_id, assessment.plan, workflow.now(), lambda: str(workflow.uuid4()))
        self._record.assessed(assessment, board)
        if assessment.plan.plan_only:
            self._record.final = IncidentState.PLAN_ONLY

    def _pass_gates(self) -> None:
        """Expire the gates whose time is over, and tell the paths about those that opened."""
        board = self._record.board
        if board is None:
            return
        for gate in board.expire(workflow.now()):
            self._record.note(f"gate {gate.value} expired; an approve opens the question again")
        self._paths.open_gates(board)

    def _settle(self) -> None:
        """Close the incident when nothing is held and nothing can be retried."""
        record, board = self._record, self._record.board
        if board is None or self._orders.release is not None or record.holding or record.running:
            return
        if record.failures.get("release"):
            # Something stands that could not be undone; it is released again, or not at all.
            return
        if record.refused and record.read_steps_ended and not record.promised:
            self._paths.stop()
        elif record.complete:
            self._paths.end()
        if self._paths.busy:
            return
        if record.refused and not record.promised:
            record.final = IncidentState.DENIED
        elif record.complete:
            record.final = IncidentState.REMEDIATED

    async def _undo(self, order: ReleaseOrder) -> None:
        """Stop the paths, then undo everything that the incident changed (design: release)."""
        self._orders.release = None
        record = self._record
        if record.board is not None:
            record.board.close()
        self._paths.stop()
        await self._until(lambda: not self._paths.busy)
        left = tuple(c for c in record.changes.values() if c.key not in record.undone)
        pods = record.assessment.pods if record.assessment else record.view().pods
        request = ReleaseInput(
            incident=record.key,
            changes=left,
            pods=pods,
            image_pods=record.assessment.image_pods if record.assessment else PodTargets(),
            # A path that was ended may not have told all, and a suppression rule is made beside the incident.
            unreported=True,
            by=order.by,
            reason=order.reason,
        )
        result: RestoreResult = await outlive(
            workflow.execute_child_workflow(
                WorkflowName.RELEASE_CONTAINMENT.value,
                request,
                id=f"{record.key.workflow_id}/release",
                result_type=RestoreResult,
                static_summary=f"undo {len(left)} changes of {self._start.finding.id}",
            )
        )
        record.undone.update(dict.fromkeys(result.undone))
        for sentence in result.kept:
            record.note(sentence)
        record.failures["release"] = list(result.failures)
        record.note(f"released by {order.by or 'unknown'}: {order.reason or 'no reason given'}")
        if not result.failures:
            record.final = IncidentState.RELEASED
            for path, progress in record.paths.items():
                record.paths[path] = progress.model_copy(update={"holding": False})

    async def _finish(self) -> IncidentView:
        record = self._record
        if record.board is not None:
            record.board.close()
        record.finished = workflow.now()
        if record.assessment is not None:
            await self._report(record.assessment)
        self._publish()
        await outlive(workflow.wait_condition(workflow.all_handlers_finished))
        return record.view()

    async def _report(self, assessment: Assessment) -> None:
        request = ReportRequest(
            incident=self._record.key,
            view_json=self._record.view().model_dump_json(),
            assessment=assessment,
            finding=self._start.finding,
        )
        try:
            result = await call(ActivityName.WRITE_REPORT, request, ReportResult, summary="report into the evidence")
        except StepFailed as failed:
            # The response itself is done; that the report is missing is said, and `firebreak report` renders it anew.
            self._record.failures["report"] = [failed.failure("report")]
            return
        self._record.report_key = result.key
        self._record.evidence = result.evidence

    # Events

    def _touch(self) -> None:
        self._dirty = True

    async def _next_event(self) -> None:
        deadline = self._record.board.next_deadline() if self._record.board else None
        timeout = max(deadline - workflow.now(), timedelta(seconds=0)) if deadline else None
        try:
            await self._until(lambda: self._dirty, timeout)
        except TimeoutError:
            return

    async def _until(self, condition: Callable[[], bool], timeout: timedelta | None = None) -> None:
        while True:
            try:
                await workflow.wait_condition(condition, timeout=timeout, timeout_summary="until the next gate expires")
                return
            except asyncio.CancelledError:
                self._dirty = True

    def _heed_cancellation(self) -> None:
        """A cancellation from the Temporal UI closes the gates and is otherwise outlived (design: Incidents)."""
        if workflow.cancellation_reason() is None or self._cancelled or self._record.board is None:
            return
        self._cancelled = True
        self._record.board.close()
        self._record.note("cancelled: running changes are finished, containment stays, the gates are closed")

    def _publish(self) -> None:
        """Show the state in the Temporal UI: search attributes when they changed, and the status card."""
        view = self._record.view()
        waiting = [g.gate.value for g in view.gates if g.state is GateState.WAITING]
        if self._published != (view.state, tuple(waiting)):
            self._published = (view.state, tuple(waiting))
            workflow.upsert_search_attributes([STATE.value_set(view.state.value), GATE.value_set(waiting)])
        workflow.set_current_details(status_card(view))

    # Handlers

    @workflow.query(name=Handler.STATUS)
    def status(self) -> IncidentView:
        """Everything that `firebreak show` prints."""
        return self._record.view()

    @workflow.update(name=Handler.DECIDE)
    async def decide(self, decision: Decision) -> DecisionAnswer:
        """Take a decision and answer at once. It is async because who decides may have to be verified."""
        self._dirty = True
        return self._orders.decide(decision, "update")

    @workflow.signal(name=Handler.PROGRESS)
    def progress(self, progress: PathProgress) -> None:
        """A path reports; a step that failed behind a gate opens the question again."""
        self._record.progressed(progress)
        if progress.failed_step and self._record.assessment and self._record.board:
            plan = self._record.assessment.plan
            gate = next((s.gate for s in plan.steps if s.step == progress.failed_step), None)
            if gate is not None and gate is not Gate.CONTAIN and self._record.board.reopen(gate, workflow.now()):
                self._record.note(f"{progress.failed_step} failed; gate {gate.value} waits again")
        self._dirty = True

    @workflow.signal(dynamic=True)
    def receive(self, name: str, args: Sequence[RawValue]) -> None:
        """The signals that people and integrations send; see `workflows.inbox` for why they come through here."""
        self._dirty = True
        self._orders.receive(name, args)

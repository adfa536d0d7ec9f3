"""An incident that does what its finding's title says: enough of RemediateFinding to try the command line on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow

from contracts.activities import RestoreResult
from contracts.common import EvidenceState, IncidentKey, PodTarget, PodTargets, Timings
from contracts.incidents import (
    Decision,
    DecisionAnswer,
    DecisionRecord,
    GateView,
    IncidentInput,
    IncidentView,
    Observation,
    PathProgress,
    ReleaseInput,
    ReleaseOrder,
    RetryRequest,
    StepStatus,
)
from contracts.names import GATE, STATE, Handler, WorkflowName
from contracts.states import Containment, GateState, IncidentState, StepState
from contracts.steps import Task, TaskDone, TaskView
from plans.model import Change, Gate, Path

DIGEST = "sha256:" + "d" * 64
POD = PodTarget(namespace="shop", name="checkout-1", uid="uid-1", node="node-1")
CHANGE = Change(
    step="pod.quarantine", resource=POD.ref, summary="quarantined", before={"/a": None}, after={"/a": "true"}
)

TASKS = tuple(
    Task(
        id=f"user.rotate_secrets-{digits}", step="user.rotate_secrets", text=f"Rotate the Secret {name}.", owner="shop"
    )
    for digits, name in (("0a1b2c3d", "database"), ("4e5f6a7b", "mail"))
)
_STEPS = {"failed": StepState.FAILED, "tasks": StepState.DONE}


@workflow.defn(name=WorkflowName.REMEDIATE_FINDING)
class FakeIncident:
    @workflow.init
    def __init__(self, start: IncidentInput) -> None:
        info = workflow.info()
        self.start = start
        self.key = IncidentKey(workflow_id=info.workflow_id, run_id=info.first_execution_run_id)
        # The title is the script: "auto" ends at once, "plan-only" likewise, "reported" so with a report in the
        # evidence, "two" waits at two gates, "collecting" collects until it is released, else one.
        self.script = start.finding.title
        self.state = IncidentState.AWAITING_APPROVAL
        self.finished = False
        self.last_observed: datetime | None = None
        self.notes: list[str] = []
        self.undone: tuple[str, ...] = ()
        # The script "tasks" has no gate: everything is done but what people have to do.
        self.tasks = {t.id: TaskView(task=t) for t in (TASKS if self.script == "tasks" else ())}
        self.changes = () if self.script == "untouched" else (CHANGE,)
        gates = [Gate.ERADICATE, Gate.TERMINATE] if self.script == "two" else [Gate.ERADICATE]
        gates = [] if self.script in ("tasks", "collecting") else gates
        self.gates = {
            gate: GateView(
                gate=gate,
                state=GateState.WAITING,
                digest=DIGEST,
                nonce=f"nonce-{gate.value}",
                deadline=workflow.now() + timedelta(hours=24),
                steps=("pod.redeploy",) if gate is Gate.ERADICATE else ("node.terminate",),
                needs_image=gate is Gate.ERADICATE,
            )
            for gate in gates
        }

    @workflow.run
    async def run(self, start: IncidentInput) -> IncidentView:
        if self.script == "plan-only":
            self.state = IncidentState.PLAN_ONLY
        elif self.script in ("auto", "reported"):
            self.state = IncidentState.REMEDIATED
        elif self.script == "expired":
            self._set(Gate.ERADICATE, state=GateState.EXPIRED, deadline=None)
        elif self.script in ("tasks", "collecting"):
            self.state = IncidentState.REMEDIATING
        if self.script not in ("plan-only", "auto", "reported"):
            self._publish()
            await workflow.wait_condition(lambda: self.finished)
        await workflow.wait_condition(workflow.all_handlers_finished)
        self.finished = True
        self._publish()
        return self.status()

    def _publish(self) -> None:
        waiting = [g.value for g, view in self.gates.items() if view.state is GateState.WAITING]
        workflow.upsert_search_attributes([STATE.value_set(self.state.value), GATE.value_set(waiting)])

    def _set(self, gate: Gate, **changed: Any) -> None:
        self.gates[gate] = self.gates[gate].model_copy(update=changed)

    @workflow.query(name=Handler.STATUS)
    def status(self) -> IncidentView:
        finding = self.start.finding
        return IncidentView(
            incident=self.key.workflow_id,
            run_id=self.key.run_id,
            finding_id=finding.id,
            finding_type=finding.type,
            severity=finding.severity,
            cluster=finding.cluster.name if finding.cluster else "",
            state=self.state,
            containment=Containment.VERIFIED,
            paths=(Path.POD,),
            pods=PodTargets(count=1, inline=(POD,)),
            steps=(
                *((StepStatus(step="pod.collect", state=StepState.RUNNING),) if self.script == "collecting" else ()),
                StepStatus(step="pod.redeploy", state=_STEPS.get(self.script, StepState.PLANNED)),
            ),
            gates=tuple(self.gates.values()),
            changes=self.changes,
            undone=self.undone,
            evidence=EvidenceState(store="memory", artefacts=3, manifests=1, manifest_sha256="e" * 64),
            notes=tuple(self.notes),
            tasks=tuple(self.tasks.values()),
            last_observed=self.last_observed,
            report_key=f"{self.key.evidence_prefix}/report/0001.md" if self.script == "reported" else "",
            timings=Timings(received=self.start.received, contained=self.start.received + timedelta(milliseconds=212)),
        )

    @workflow.update(name=Handler.DECIDE)
    async def decide(self, decision: Decision) -> DecisionAnswer:
        return self._decide(decision, "update")

    @workflow.signal(name=Handler.PROGRESS)
    def progress(self, progress: PathProgress) -> None:
        """Only its place in the history matters."""

    @workflow.signal(name=Handler.APPROVE)
    def approve(self, decision: Decision) -> None:
        self._decide(decision, "signal")

    @workflow.signal(name=Handler.DENY)
    def deny(self, decision: Decision) -> None:
        self._decide(decision, "signal")

    def _decide(self, decision: Decision, channel: str) -> DecisionAnswer:
        gate = self.gates[Gate(decision.gate)]
        good = decision.digest == gate.digest and decision.nonce == gate.nonce and gate.state is GateState.WAITING
        record = DecisionRecord(
            by=decision.by,
            decision=decision.decision,
            reason=decision.reason,
            at=workflow.now(),
            gate=decision.gate,
            counted=good,
            channel=channel,
        )
        self._set(gate.gate, decisions=(*gate.decisions, record))
        if gate.state is GateState.EXPIRED:
            self._set(gate.gate, state=GateState.WAITING, nonce="nonce-new")
            message = "gate eradicate had expired; it waits again, approve it once more"
            return DecisionAnswer(accepted=False, message=message, gate=decision.gate, state=GateState.WAITING)
        if not good:
            return DecisionAnswer(accepted=False, message="stale", gate=decision.gate, state=gate.state)
        state = GateState.OPEN if decision.decision == "approve" else GateState.DENIED
        self._set(gate.gate, state=state)
        if decision.decision == "deny":
            self.state = IncidentState.DENIED
        elif all(g.state is GateState.OPEN for g in self.gates.values()):
            self.state, self.finished = IncidentState.REMEDIATED, True
        self._publish()
        return DecisionAnswer(
            accepted=True, message=f"gate {gate.gate.value} {state.value}", gate=gate.gate.value, state=state
        )

    @workflow.signal(name=Handler.OBSERVE)
    def observe(self, seen: Observation) -> None:
        self.last_observed = workflow.now()
        self.notes.append(f"observed: {seen.reason}")

    @workflow.signal(name=Handler.RETRY)
    def retry(self, again: RetryRequest) -> None:
        self.notes.append(f"retry {again.step} by {again.by}")

    @workflow.signal(name=Handler.TASK_DONE)
    def task_done(self, done: TaskDone) -> None:
        view = self.tasks[done.task]
        if not view.done:
            changed = {"done": True, "by": done.by, "reason": done.reason, "at": workflow.now()}
            self.tasks[done.task] = view.model_copy(update=changed)
        if all(t.done for t in self.tasks.values()):
            self.state, self.finished = IncidentState.REMEDIATED, True

    @workflow.signal(name=Handler.RELEASE)
    async def release(self, order: ReleaseOrder) -> None:
        for gate in self.gates:
            self._set(gate, state=GateState.CLOSED, deadline=None)
        if self.script == "closing":
            # It was just coming to its end when the release arrived.
            self.state, self.finished = IncidentState.REMEDIATED, True
            return
        result: RestoreResult = await workflow.execute_child_workflow(
            WorkflowName.RELEASE_CONTAINMENT.value,
            ReleaseInput(incident=self.key, changes=self.changes, by=order.by, reason=order.reason),
            id=f"{self.key.workflow_id}/release",
            result_type=RestoreResult,
        )
        self.undone = result.undone
        self.state, self.finished = IncidentState.RELEASED, True


@workflow.defn(name=WorkflowName.RELEASE_CONTAINMENT)
class FakeRelease:
    @workflow.run
    async def run(self, order: ReleaseInput) -> RestoreResult:
        if not order.changes:
            return RestoreResult()
        return RestoreResult(
            undone=tuple(c.key for c in order.changes), kept=("policy kept: others hold it",), pods_restored=1
        )


__all__ = ["CHANGE", "DIGEST", "POD", "TASKS", "FakeIncident", "FakeRelease"]
